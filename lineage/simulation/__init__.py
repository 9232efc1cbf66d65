"""Simulated films: fluorescent nuclei that move, grow and divide, with the lineages known exactly."""

from .film import SimulatedFilm as SimulatedFilm
from .film import simulate as simulate
from .pictures import Picture as Picture
from .pictures import pictures as pictures
from .pictures import save_pictures as save_pictures
from .points import simulated_points as simulated_points
from .scenario import Simulation as Simulation
from .streaming import simulate_to as simulate_to

__all__ = ["Picture", "SimulatedFilm", "Simulation", "pictures", "save_pictures", "simulate", "simulate_to", "simulated_points"]
