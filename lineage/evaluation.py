"""Evaluation: a result against the truth, in numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from .arrays import Film, FloatArray, Progress, silent
from .films import open_film
from .formats.ctc import masks_folder, open_folder
from .formats.shared_masks import one_a_mask
from .matching import Matching, References, Tracks, match_labels, match_points, relabelled, tracks_of
from .metrics import Scores, measures
from .sides import Source, side_of

SLICE = re.compile(r"man_seg_?(\d+)_(\d+)\.tif")
ROWS = (  # what `summary` shows: a heading, the key, and what the number says
    ("SEG", "SEG", "outlines"),
    ("DET", "DET", "cells: {FN} missed, {FP} false, {NS} to be split"),
    ("LNK", "LNK", "links: {EA} missed, {ED} false, {EC} of the wrong kind"),
    ("TRA", "TRA", "cells and links together"),
    ("edge F1", "edge_f1", "links"),
    ("division F1", "division_f1", "{division_tp} of {n_truth_divisions} divisions found, {n_result_divisions} claimed"),
    ("division F1, 1 off", "division_f1_1", "{division_tp_1} found, one frame early or late allowed"),
    ("CHOTA", "CHOTA", "cells and their kin keep their names"),
    ("HOTA", "HOTA", "cells keep their names"),
    ("IDF1", "IDF1", "frames rightly named"),
    ("MOTA", "MOTA", "{IDSW} swapped names"),
    ("CT", "CT", "complete tracklets of the table"),
    ("TF", "TF", "longest stretches followed"),
    ("BC1", "BC1", "branching, one frame early or late allowed"),
    ("CCA", "CCA", "lengths of cell cycles"),
    ("complete tracklets", "complete_tracklets", "{n_complete_tracklets} of {n_truth_tracklets}"),
    ("complete lineages", "complete_lineages", "{n_complete_lineages} of {n_truth_lineages}; {n_reproduced_lineages} if more may follow"),
)


def evaluate(
    result: Source, truth: Source, *, distance: float | None = None, border: float = 0, progress: Progress[int] = silent
) -> Scores:
    """Say how good a tracking result is, in the measures of the field.

    Result and truth are each a folder of the Cell Tracking Challenge (``01_RES``, ``01_GT``, ``01_GT/TRA``), a folder of results, a film
    that was simulated (``film.zarr``), any file of lineages, whose cells are points, or a pair ``(forest, labels)``. Of ``01_GT``, TRA
    is the truth for tracking and SEG, when it is there, for outlines. The outlines of a pair, or of a folder with ``res_track.txt``,
    are themselves the truth for outlines; those in TRA are markers and never are. Cells are matched by overlap, see ``match_labels``.
    Files of lineages and pairs ``(forest, None)`` are matched by position, see ``match_points``.

    Args:
        result: What is to be judged.
        truth: What it is held against.
        distance: For points only: how far apart matched cells may be, physical units. Half the median distance between
            neighbours in the truth when not given.
        border: Cells of the result that match none of the truth are left out where their centre lies closer than this to the border of the
            picture, pixels; with labels only. Truths of the Cell Tracking Challenge hold the cells of a field of interest alone: 50 for
            DIC-C2DH-HeLa, 25 for Fluo-N2DL-HeLa and PhC-C2DL-PSC.
        progress: Wraps the loop over frames.

    Returns:
        Every measure by name, None where it is undefined; numbers that JSON can hold. ``SEG DET TRA LNK CT TF BC0 BC1 BC2 BC3
        CCA CHOTA HOTA IDF1 MOTA``, ``edge_`` and ``division_`` ``precision recall f1`` (the latter also with one frame of
        tolerance, ``division_f1_1``), ``complete_lineages``, ``complete_tracklets``, ``AOGM`` and its errors ``NS FN FP ED EA
        EC``, and counts. ``lineage.metrics`` defines each.

    Raises:
        FileNotFoundError: No such file or folder, or none with a table of tracklets.
        ValueError: Truth and result are not of the same film (another number of frames, another shape), labels and table
            do not agree, one side has labels and the other has not, or the border is negative.
    """
    if not border >= 0:
        raise ValueError(f"border must be at least 0 pixels, not {border}")
    result, truth = side_of(result), side_of(truth)
    sides = [(result, "the result"), (truth, "the truth")]
    without = [name for source, name in sides if isinstance(source, tuple) and source[1] is None]
    if len(without) == 2:
        if border:
            raise ValueError(f"border={border:g} is for labels, but these are points: leave it out")
        return measures(match_points(_points(truth, "the truth"), _points(result, "the result"), distance))
    if without:
        raise ValueError(
            f"{without[0]} has no labels, but the other side has: give masks to both, or none to either (lineage convert 01_GT truth.csv)"
        )
    if distance is not None:
        raise ValueError(f"distance={distance} is for points, but these have labels and are matched by overlap: leave it out")
    return measures(_match_labels(result, truth, border, progress))


def summary(scores: Scores) -> str:
    """The scores that matter as a small table of text, one a line: name, value, what it says."""
    wide = max(len(heading) for heading, _, _ in ROWS)
    known: defaultdict[str, object] = defaultdict(lambda: "?", scores)  # so that a part of them can be summed up, too
    shown = [(heading, scores.get(key), note.format_map(known)) for heading, key, note in ROWS]
    return "\n".join(f"{heading:<{wide}}  {'-' if value is None else f'{value:.4f}':>7}  {note}" for heading, value, note in shown)


def _match_labels(result: Source, truth: Source, border: float, progress: Progress[int]) -> Matching:
    here, there = _labelled(truth, "the truth"), _labelled(result, "the result")
    return match_labels(here, there, _references(truth, len(here[1])), border=border, progress=progress)


def _labelled(source: Source, name: str) -> tuple[Tracks, Film]:
    """A source as a table of tracklets and the film of their labels."""
    if isinstance(source, tuple):
        forest, labels = source
        assert labels is not None
        forest = one_a_mask(forest)
        return tracks_of(forest, name)[0], relabelled(forest, labels, name)
    opened = open_folder(source)
    return Tracks(opened.table, f"{name} ({opened.path})"), opened.labels


def _points(source: Source, name: str) -> tuple[Tracks, FloatArray]:
    assert isinstance(source, tuple)
    tracks, rows = tracks_of(source[0], name)
    return tracks, source[0].detections.position[rows]


def _references(truth: Source, n_frames: int) -> References | None:
    """Where the truth for outlines is: in SEG, in the labels themselves (None), or nowhere."""
    if isinstance(truth, tuple):
        return None
    folder, seg = masks_folder(truth), Path(truth) / "SEG"
    if folder != Path(truth) and any(seg.glob("man_seg*.tif")):
        return _annotations(seg, n_frames)
    return None if (folder / "res_track.txt").is_file() else lambda _: ()


def _annotations(seg: Path, n_frames: int) -> References:
    """The annotated images of each frame: whole frames, or single slices of 3D ones, each an image of its own."""
    slices: dict[int, list[tuple[int, Path]]] = {}
    for file in sorted(seg.glob("man_seg*.tif")):
        if found := SLICE.fullmatch(file.name):
            slices.setdefault(int(found[1]), []).append((int(found[2]), file))
    if slices:
        _check_frames(seg, max(slices), n_frames)
        return lambda t: [(z, open_film(file, kind="labels")[0]) for z, file in slices.get(t, ())]
    film = open_film(seg, kind="labels", sparse=True)
    place = {number: k for k, number in enumerate(film.numbers)}
    _check_frames(seg, max(place), n_frames)
    return lambda t: [(None, film[place[t]])] if t in place else []


def _check_frames(seg: Path, last: int, n_frames: int) -> None:
    if last >= n_frames:
        raise ValueError(f"{seg} annotates frame {last}, but the truth has {n_frames} frames")
