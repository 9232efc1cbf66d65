"""Stretches: lineages of films of any length, stretch of frames by stretch, each on any machine, with one certificate for the whole.

A stretch is linked as a film of its own, together with some frames before and behind it: its candidate links are found, and what they
cost is estimated from the stretch itself. What is kept of it are the costs of its own detections and of the links that leave
them; every cost of the film is thus said by one stretch, whoever works on it and in whatever order. Then the programme of the whole film is
solved, whole or in windows, and the certificate is that of this programme. A film that fits into one stretch is linked
just as ``lineage.link`` links it.
"""

from .cells import Cells, Part, SavedCells, save_cells
from .linking import Stretched, check, link_in_stretches
from .plan import Stretch, cut

__all__ = ["Cells", "Part", "SavedCells", "Stretch", "Stretched", "check", "cut", "link_in_stretches", "save_cells"]
