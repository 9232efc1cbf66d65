"""Windows: lineages of films that do not fit in memory, found part by part, with one certificate for the whole film.

The film's frames are cut into windows. Each is solved together with some frames before and behind it, then joined to what was
decided before. Only one window is in memory at a time; what it knows of the rest of the film is the links that cross its seams.

**The bound.** Let the cost c_e of every link e that crosses a seam be split in two shares, o_e for the window it leaves and
i_e = c_e - o_e for the window it enters. A forest of the whole film, cut at the seams, costs each window k what its own
detections and links cost, and its shares of the chosen links that cross; together they pay exactly what the forest costs. Let b_k be
the least that window k can pay when each half link may be chosen as if its other end agreed. Then, whatever the split is::

    b_1 + b_2 + ... + b_K  <=  cost of every forest of the film

since every forest's part is among what window k may choose: a half link into it is an appearance at the price i_e, a half link
out of it ends at a detection that costs nothing. (A conflict set across a seam binds either side by itself.) The sum is as good as
the shares are. They come from the dual of the window before, solved with its frames behind the seam: at the optimum of that
dual, i_e is the price of the target's past, what it would pay for a parent (``lineage.solvers.dual``). The window behind then buys
its past at these prices, so that its own dual, and the shares at the next seam, know the film from its beginning. How far the
bound stays below the optimum thus depends only on what of the film behind the overlap would have changed the prices, which
fades with every frame of overlap.

**The forest.** Around each seam all is decided anew in one programme, the past held at what was decided before and the future at
what the window alone would do; if that is impossible, the future is set free, then windows before are decided anew as well. Every
link, division, daughter pair and conflict set across a seam is seen whole by the programme that decides it, so the forest of the film
is lawful, and its cost is added up exactly.

**The certificate.** Every window has an objective, what the film's forest costs it by the split above, and its bound b_k; both add
up to those of the film. So the loss by windowing is known for the film, and each seam's part of it shows in the windows beside.
"""

from __future__ import annotations

from .columns import Columns
from .film import Window, in_windows, solve_windows
from .pieces import Piece, Pieces

__all__ = ["Columns", "Piece", "Pieces", "Window", "in_windows", "solve_windows"]
