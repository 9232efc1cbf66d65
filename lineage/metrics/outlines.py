"""SEG: how well outlines agree."""

from __future__ import annotations

from lineage.arrays import FloatArray


def seg(jaccard: FloatArray | None) -> float | None:
    """Mean Jaccard index of all reference objects, those without a partner counting 0; None when there is no reference object.

    A computed object is the partner when it covers more than half of the reference object. False objects cost nothing here.

    Args:
        jaccard: One value a reference object; float (q,). None when outlines were not compared.

    Maska et al. 2014, "A benchmark for comparison of cell tracking algorithms".
    """
    return None if jaccard is None or not len(jaccard) else float(jaccard.mean())
