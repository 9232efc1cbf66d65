"""What a foreign network answers, understood by the names of its channels and handed to a decoder of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders import DECODERS, Decoder
from segmentation.decoders.boundary import Boundary
from segmentation.decoders.interface import Grid
from segmentation.modelzoo.processing import Steps

_FOREGROUND = ("foreground", "fg", "mask", "masks", "nuclei", "nucleus", "cell", "cells", "interior", "probability")
_BOUNDARY = ("boundary", "boundaries", "border", "borders", "outline", "outlines", "contour", "contours", "edge", "edges", "membrane")


@dataclass(frozen=True)
class Readout:
    """A decoder of ours behind the postprocessing of a package; for prediction, not for training.

    Args:
        decoder: finds the cells.
        steps: the postprocessing of the package.
        names: of the channels that the network answers.
        picks: which of them the decoder takes, in its order.
    """

    decoder: Decoder
    steps: Steps
    names: tuple[str, ...]
    picks: tuple[int, ...]

    grid: ClassVar[Grid] = {}

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network says of every pixel."""
        return self.names

    def targets(self, labels: IntArray) -> FloatArray:
        """Refuse: what this network was trained on is not known.

        Args:
            labels: ([Z,] Y, X).
        """
        raise ValueError(f"a network from a package that answers {', '.join(self.names)} cannot be trained on {labels.ndim}D labels here")

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Give the decoder's loss of the channels that it takes.

        Args:
            answers: (n, c, [Z,] Y, X), raw.
            wanted: (n, k, [Z,] Y, X).
        """
        return self.decoder.loss(answers[:, list(self.picks)], wanted)

    def read(self, answers: FloatArray) -> FloatArray:
        """Apply the postprocessing of the package and take the channels that the decoder wants.

        Args:
            answers: (c, [Z,] Y, X), raw.

        Returns:
            float32 (channels of the decoder, [Z,] Y, X).
        """
        return np.asarray(self.steps.apply(answers, answers), np.float32)[list(self.picks)]

    def __call__(self, said: FloatArray) -> IntArray:
        """Find the cells.

        Args:
            said: as `read` gives it.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n, 0 = background.
        """
        return self.decoder(said)


def understood(names: Sequence[str], decoder: Decoder | None = None) -> tuple[Decoder, tuple[int, ...]]:
    """Choose a decoder by the names of a network's channels, and say which channels it takes.

    A foreign "distance" is left out: in what unit it is, its name does not say.

    Args:
        names: of the channels, any case.
        decoder: the caller's choice; takes the first channels.

    Raises:
        ValueError: nothing fits; names what could be given.
    """
    plain = [name.strip().lower() for name in names]
    if decoder is not None:
        count = 2 if isinstance(decoder, Boundary) and len(plain) == 2 else len(decoder.channels)
        if len(plain) < count:
            raise ValueError(f"the network answers {', '.join(names)}: {type(decoder).__name__} wants {', '.join(decoder.channels)}")
        return decoder, tuple(range(count))
    for kind in DECODERS.values():
        ours: Decoder = kind()
        if plain == [name.lower() for name in ours.channels]:
            return ours, tuple(range(len(plain)))
    foreground = [i for i, name in enumerate(plain) if name in _FOREGROUND]
    boundary = [i for i, name in enumerate(plain) if name in _BOUNDARY]
    if foreground and boundary:
        return Boundary(levels=()), (foreground[0], boundary[0])
    if foreground and "components" in DECODERS:
        alone: Decoder = DECODERS["components"]()
        return alone, (foreground[0],)
    raise ValueError(f"the network answers {', '.join(names)}: say with decoder= what that means, one of {', '.join(DECODERS)}")
