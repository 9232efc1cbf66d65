"""Ensemble: several denoisers asked at once, so that doubt from noise and doubt from too little training can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from restoration.care import Care
from restoration.denoiser import Denoiser
from segmentation.arrays import AnyArray, FloatArray


class Estimate(NamedTuple):
    """What an ensemble says of a picture; float32 ([Z,] Y, X), grey levels.

    Attributes:
        mean: the restored picture.
        noise: standard deviation that no further training can remove, since the noisy picture does not say more (aleatoric).
        disagreement: standard deviation between the members (epistemic): large where the training has seen too little that is alike, so
            that what is seen there may be made up.
    """

    mean: FloatArray
    noise: FloatArray
    disagreement: FloatArray

    @property
    def total(self) -> FloatArray:
        """Standard deviation from both sources."""
        return np.asarray(np.sqrt(self.noise**2 + self.disagreement**2), np.float32)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Denoisers of one kind that were trained from different random weights. Lakshminarayanan et al., "Deep ensembles", 2017.

    Args:
        members: at least two; those that say how unsure they are (`Care(probabilistic=True)`) also give the doubt from noise.
    """

    members: Sequence[Denoiser]

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ValueError(f"an ensemble of {len(self.members)} cannot disagree: give at least 2 denoisers")

    @classmethod
    def train(cls, data: Any, count: int = 5, *, method: Care | None = None, **settings: Any) -> Ensemble:  # noqa: ANN401
        """Train the members one after the other, each from other random weights and other patches.

        Args:
            data: as for `Denoiser.train`.
            count: number of members.
            method: probabilistic CARE when not given.
            settings: as for `Denoiser.train`; the seed of `feed` is that of the first member.
        """
        way = Care(probabilistic=True) if method is None else method
        feed = settings.pop("feed", way.feed)
        return cls(tuple(Denoiser.train(data, method=way, feed=replace(feed, seed=feed.seed + k), **settings) for k in range(count)))

    def predict(self, image: AnyArray, **settings: Any) -> Estimate:  # noqa: ANN401
        """Denoise one picture and say how unsure each pixel is, and why.

        Args:
            image: ([Z,] Y, X), finite.
            settings: `tile` and `views` as for `Denoiser.predict`.
        """
        means, powers = [], []
        for member in self.members:
            if member.method.has_scale:
                mean, deviation = member.predict_uncertain(image, **settings)
            else:
                mean, deviation = member.predict(image, **settings), np.zeros(np.shape(image), np.float32)
            means.append(mean)
            powers.append(deviation**2)
        noise = np.sqrt(np.mean(powers, axis=0)).astype(np.float32)
        return Estimate(np.mean(means, axis=0, dtype=np.float32), noise, np.std(means, axis=0).astype(np.float32))
