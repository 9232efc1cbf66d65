"""Errors: what kinds of links a result lacks and invents; they say what to work on."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from lineage.arrays import BoolArray, IntArray
from lineage.forest import Forest

from .case import Case, parents

MISSED = ("missed_unseen", "missed_gap", "missed_division", "missed_crowded", "missed_plain")
FALSE = ("false_noise", "false_division", "false_birth", "false_swap")
KINDS = (*MISSED, *FALSE, "bridges")


def errors(case: Case, forest: Forest) -> dict[str, int]:
    """Count the wrong links by kind.

    Missed links: an end was not detected (``missed_unseen``), the link is over missed frames (``missed_gap``), the cell divides
    (``missed_division``), another cell lies nearer than the right one (``missed_crowded``), or none of these (``missed_plain``).

    False links: an end is no cell of the truth (``false_noise``), the cell does not divide (``false_division``), the child comes from
    nowhere (``false_birth``), or it has another parent (``false_swap``).

    ``bridges`` are links over frames in which the cell was not detected; they are right, but LNK counts them as wrong.
    """
    matching = case.matching(forest)
    source, target, _ = matching.truth.edges
    image = matching.image
    seen = (image[source] >= 0) & (image[target] >= 0)
    children = np.bincount(source, minlength=matching.truth.n_cells)
    late = matching.truth.frame[target] - matching.truth.frame[source] > 1
    divides = children[source] >= 2
    crowded = np.zeros(len(source), bool)
    plain = np.flatnonzero(seen & ~late & ~divides & ~matching.edges.found)
    crowded[plain] = _crowded(case, case.row_of[source[plain]], case.row_of[target[plain]])
    missed = np.select([~seen, late, divides, crowded], [0, 1, 2, 3], 4)
    found = np.bincount(missed[~matching.edges.found], minlength=len(MISSED))
    kind = _false(matching.preimage, matching.result.edges[:2], parents(matching.truth), image, children)
    wrong = np.bincount(kind[~matching.edges.right], minlength=len(FALSE) + 1)
    return dict(zip(KINDS, [*found.tolist(), *wrong.tolist()], strict=True))


def _false(preimage: IntArray, links: tuple[IntArray, IntArray], up: IntArray, image: IntArray, children: IntArray) -> IntArray:
    """Kind of each link of the result, if it is wrong: a place in ``FALSE``, or one past for a bridge."""
    mother, child = preimage[links[0]], preimage[links[1]]
    many = np.bincount(links[0], minlength=len(preimage))[links[0]] >= 2
    top = np.append(up, -1)[child]
    while np.any(lost := (top >= 0) & (np.append(image, -1)[top] < 0)):
        top = np.where(lost, np.append(up, -1)[top], top)
    noise, bridge = (mother < 0) | (child < 0), (top == mother) & (mother >= 0)
    extra = many & (np.append(children, 0)[mother] < 2)
    return np.select([noise, bridge, extra, np.append(up, -1)[child] < 0], [0, len(FALSE), 1, 2], 3)


def _crowded(case: Case, source: IntArray, target: IntArray) -> BoolArray:
    """Whether another detection of the target's frame lies nearer to the source than the target does; bool (k,)."""
    cells = case.detections
    nearer = np.zeros(len(source), bool)
    for t in np.unique(cells.frame[target]):
        rows, which = cells.at(int(t)), cells.frame[target] == t
        nearest = np.asarray(cKDTree(cells.position[rows]).query(cells.position[source[which]])[1])
        nearer[which] = nearest + rows.start != target[which]
    return nearer
