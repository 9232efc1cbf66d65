"""Choose the thresholds of a decoder on labelled pictures: one function for every decoder."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Decoder, names_cells
from segmentation.quality import dice, scores

Seen = tuple[IntArray, FloatArray]


def tuned(
    decoder: Decoder,
    seen: Sequence[Seen],
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    each: Callable[..., Iterable[Any]] = map,
) -> Decoder:
    """Choose a decoder's thresholds; gives a new decoder.

    One threshold after the other is set to the value with the highest worth (`worth`), at most twice round; a threshold stays
    where no other value is better, so that equal input gives equal thresholds. No combination is looked at twice.

    Args:
        decoder: where the search begins.
        seen: true labels, < 0 unknown, and what the network said (`Decoder.read`), of each picture.
        grid: values to try per threshold, in this order; default: the decoder's own.
        each: applies a function to every picture; the `map` of a process pool decodes several at once.
    """
    if not len(seen):
        raise ValueError("there is no picture to tune on: give at least one with its true labels")
    values = decoder.grid if grid is None else grid
    known = [field.name for field in fields(decoder)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ValueError(f"grid names {name!r}, which {type(decoder).__name__} does not have: take from {', '.join(known)}")
    best: Any = decoder
    height, tried = worth(best, seen, each=each), {best}
    for _, name in itertools.product(range(2), values):
        for value in values[name]:
            now = getattr(best, name)
            trial = replace(best, **{name: type(now)(value) if isinstance(now, (int, float, tuple)) else value})
            if trial not in tried and (reached := worth(trial, seen, each=each)) > height:
                best, height = trial, reached
            tried.add(trial)
    chosen: Decoder = best
    return chosen


def worth(decoder: Decoder, seen: Sequence[Seen], *, each: Callable[..., Iterable[Any]] = map) -> float:
    """Say how well a decoder does on labelled pictures: pooled plus per-image AP, mean over IoU 0.5..0.95; of classes: Dice.

    Args:
        decoder: with its thresholds.
        seen: true labels, < 0 unknown, and what the network said, of each picture.
        each: applies a function to every picture.

    Returns:
        0 (nothing right) .. 2 (all right).
    """
    table = judged(decoder, each(partial(_decoded, decoder), seen))
    measure = "dice" if "dice_pooled_mean" in table else "ap"
    return table[f"{measure}_pooled_mean"] + table[f"{measure}_image_mean"]


def judged(decoder: Decoder, pairs: Iterable[tuple[IntArray, IntArray]]) -> dict[str, float]:
    """Score results in the way that fits the decoder: `segmentation.quality.scores` for cells, `.dice` for classes.

    Args:
        decoder: made the results.
        pairs: (truth, result) label pictures.
    """
    return scores(pairs) if names_cells(decoder) else dice(pairs)


def _decoded(decoder: Decoder, picture: Seen) -> tuple[IntArray, IntArray]:
    labels, said = picture
    return labels, decoder(said.astype(np.float32, copy=False))
