"""Learned scores of candidate links: a network, or a light classifier, that tells how likely each link is (needs torch).

from lineage.learn import load
cost = load("edges-2d").scores(graph)
"""

from .examples import Example as Example
from .examples import Lesson as Lesson
from .model import EdgeModel as EdgeModel
from .model import learned_costs as learned_costs
from .model import load as load
from .training import Schedule as Schedule
from .training import judge as judge
from .training import simulated_lessons as simulated_lessons
from .training import train as train
from .training import train_light as train_light

__all__ = ["EdgeModel", "Example", "Lesson", "Schedule", "judge", "learned_costs", "load", "simulated_lessons", "train", "train_light"]
