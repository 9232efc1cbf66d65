"""Choose the thresholds of a decoder on labelled pictures: one function for every decoder."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Decoder
from segmentation.quality import scores


def tuned(decoder: Decoder, seen: Sequence[tuple[IntArray, FloatArray]], grid: Mapping[str, Sequence[Any]] | None = None) -> Decoder:
    """Choose a decoder's thresholds; gives a new decoder.

    One threshold after the other is set to the value with the highest mean of pooled and per-image AP
    over IoU 0.5..0.95, at most twice round; a threshold stays where no other value is better.

    Args:
        decoder: where the search begins.
        seen: true labels, < 0 unknown, and what the network said (`Decoder.read`), of each picture.
        grid: values to try per threshold; default: the decoder's own.
    """
    values = decoder.grid if grid is None else grid

    def worth(trial: Any) -> float:  # noqa: ANN401 - any decoder
        table = scores((labels, trial(said.astype(np.float32))) for labels, said in seen)
        return table["ap_pooled_mean"] + table["ap_image_mean"]

    best: Any = decoder
    height, tried = worth(best), {best}
    for _, name in itertools.product(range(2), values):
        for value in values[name]:
            trial = replace(best, **{name: type(getattr(best, name))(value)})
            if trial not in tried and (reached := worth(trial)) > height:
                best, height = trial, reached
            tried.add(trial)
    chosen: Decoder = best
    return chosen
