"""Linking strategies side by side: ours, classical ones and other packages, on the same masks, under stress, beside the ceiling."""

from .comparison import benchmark
from .strategies import STRATEGIES, Strategy
from .stress import STRESSES

__all__ = ["STRATEGIES", "STRESSES", "Strategy", "benchmark"]
