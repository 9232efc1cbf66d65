"""Simulated films: fluorescent nuclei that move, grow and divide, with the lineages known exactly."""

from .film import SimulatedFilm as SimulatedFilm
from .film import simulate as simulate
from .scenario import Simulation as Simulation

__all__ = ["SimulatedFilm", "Simulation", "simulate"]
