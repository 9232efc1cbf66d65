"""Look at a picture from several sides and take the mean: test-time augmentation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segmentation.arrays import FloatArray

Direction = Sequence[float] | None


@dataclass(frozen=True)
class View:
    """One way to turn a picture within its plane: mirrored first, then turned.

    Args:
        mirrored: swap left and right.
        turns: quarter turns, 0..3.
    """

    mirrored: bool = False
    turns: int = 0

    def __call__(self, picture: FloatArray) -> FloatArray:
        """Turn a picture.

        Args:
            picture: (..., Y, X).

        Returns:
            The same pixels, (..., Y, X) or (..., X, Y).
        """
        return np.rot90(picture[..., ::-1] if self.mirrored else picture, self.turns, (-2, -1))

    def back(self, picture: FloatArray) -> FloatArray:
        """Undo the turn.

        Args:
            picture: (..., Y, X), as the view shows it.
        """
        upright = np.rot90(picture, -self.turns, (-2, -1))
        return upright[..., ::-1] if self.mirrored else upright

    def direction(self, way: Sequence[float]) -> tuple[float, ...]:
        """Say where a direction points in the view.

        Args:
            way: ([z,] y, x).
        """
        *rest, y, x = way
        x = -x if self.mirrored else x
        for _ in range(self.turns):
            y, x = -x, y
        return (*rest, y, x)


VIEWS = {
    1: (View(),),
    4: tuple(View(mirrored, turns) for turns in (0, 2) for mirrored in (False, True)),  # sides keep their lengths
    8: tuple(View(mirrored, turns) for turns in range(4) for mirrored in (False, True)),
}


def average(
    answer: Callable[[FloatArray], FloatArray],
    picture: FloatArray,
    views: int = 8,
    *,
    directions: Sequence[Direction] | None = None,
    pairs: bool = False,
) -> FloatArray:
    """Ask about a picture from several sides and take the mean of what was said, turned upright.

    Args:
        answer: picture (C, [Z,] Y, X) -> what is said of it, (k, [Z,] Y, X): probabilities, distances; not raw answers.
        picture: (C, [Z,] Y, X); in 3D it is turned within its planes.
        views: 1; 4: mirrored along x, y and both; 8: also by quarter turns, which needs pixels as high as wide.
        directions: where a channel is about a direction ([z,] y, x), such as a ray of a star; the others None. Default: none is.
        pairs: directions are steps, pixels, to the other of two pixels that a channel is about: what it says of one step, it says of the
            step back, from the other end.

    Returns:
        float32 (k, [Z,] Y, X).

    Raises:
        ValueError: no such number of views; or a channel's direction, turned, is that of no other channel.
    """
    if views not in VIEWS:
        raise ValueError(f"views is {views}: give one of {', '.join(map(str, VIEWS))}")
    orders = [_order(view, directions, pairs=pairs) for view in VIEWS[views]]
    total: Any = 0.0
    for view, order in zip(VIEWS[views], orders, strict=True):
        said = view.back(answer(np.ascontiguousarray(view(picture))))
        total = total + (said if order is None else np.stack([_from_there(said[k], step) for k, step in order]))
    return np.asarray(total / len(orders), np.float32)


def are_pairs(decoder: Any) -> bool:  # noqa: ANN401 (any decoder)
    """Say whether a decoder's channels with directions are about pairs of pixels.

    Args:
        decoder: one of `segmentation.decoders`.
    """
    return hasattr(decoder, "offsets")


def directions_of(decoder: Any) -> Sequence[Direction] | None:  # noqa: ANN401 (any decoder)
    """Say which of a decoder's channels are about directions.

    A decoder that has such channels says so by an attribute `directions`, one ([z,] y, x) or None for each channel.

    Args:
        decoder: one of `segmentation.decoders`.

    Returns:
        One entry a channel; None where all channels mean the same from every side.
    """
    if are_pairs(decoder):  # foreground, then one channel for each pair
        return (None, *decoder.offsets)
    found: Sequence[Direction] | None = getattr(decoder, "directions", None)
    return found


def _order(view: View, directions: Sequence[Direction] | None, *, pairs: bool) -> list[tuple[int, tuple[int, ...] | None]] | None:
    """Which channel of the view says what each channel says of the upright picture, and from how many pixels away."""
    if directions is None:
        return None
    order: list[tuple[int, tuple[int, ...] | None]] = []
    for channel, way in enumerate(directions):
        if way is None:
            order.append((channel, None))
            continue
        turned = np.array(view.direction(way))
        same, back = _channel(directions, turned), _channel(directions, -turned) if pairs else None
        if same is not None:
            order.append((same, None))
        elif back is not None:
            order.append((back, tuple(int(step) for step in way)))
        else:
            seen = tuple(round(float(n), 3) + 0.0 for n in way)
            raise ValueError(f"channel {channel} is about the direction {seen}, which no channel is about in every view: give views=1")
    return order


def _channel(directions: Sequence[Direction], way: FloatArray) -> int | None:
    """The channel that is about a direction."""
    return next((k for k, other in enumerate(directions) if other is not None and np.allclose(other, way, atol=1e-6)), None)


def _from_there(said: FloatArray, step: tuple[int, ...] | None) -> FloatArray:
    """What is said of each pixel, read so many pixels away; beyond the picture, where no pair is, the nearest there is."""
    if step is None:
        return said
    places = [np.clip(np.arange(n) + more, 0, n - 1) for n, more in zip(said.shape, step, strict=True)]
    return said[np.ix_(*places)]
