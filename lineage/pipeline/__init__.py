"""The whole way: film to label film to lineages to files. The one room that knows all three packages."""

from .pointing import points_of, run_points
from .running import OUTPUTS, Run, run, track
from .segmenting import Segment, segment, segment_to_file, segmenter
from .showing import demo, save_simulated

__all__ = [
    "OUTPUTS",
    "Run",
    "Segment",
    "demo",
    "points_of",
    "run",
    "run_points",
    "save_simulated",
    "segment",
    "segment_to_file",
    "segmenter",
    "track",
]
