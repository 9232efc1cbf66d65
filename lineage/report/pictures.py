"""Pictures: the frames of a film as small images for a page, stretched between dark and bright."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lineage.arrays import Array, Progress
from lineage.films import OpenedFilm

BYTES = 14_000_000  # all pictures together, before base64 makes 4 of 3
PIXELS = 300_000_000  # all pictures together: what can be compressed in a few seconds
SIDE = 1600  # pixels along a picture
LAYERS = 12  # of a stack, at most
MOST = 1000  # frames with a picture: of a longer film, every second, third, ... frame has one
SAMPLES, TRIALS = 12, 3  # frames that grey levels and sizes are judged by
LOOKED_AT = 2**18  # pixels of a frame that grey levels are judged by, at most
QUALITY = 85
DARK, BRIGHT = 0.5, 99.6  # percentiles


@dataclass(frozen=True)
class Pictures:
    """The pictures of a film.

    Attributes:
        texts: Base64 of the images: for each frame its maximum along z, then its layers, if any.
        layers: Slabs of z planes in each frame; 0 when there is only the maximum.
        shape: Height and width of the film, pixels.
        depth: Number of its z planes; 1 in 2D.
        size: Height and width of a picture, pixels.
        low, high: Grey levels of the film that became black and white.
        format: MIME type.
        every: Frames from one with a picture to the next.
    """

    texts: list[str]
    layers: int
    shape: tuple[int, int]
    depth: int
    size: tuple[int, int]
    low: float
    high: float
    format: str
    every: int = 1


def pictures_of(film: OpenedFilm, *, progress: Progress[int]) -> Pictures:
    """Compress a film; frames shrink as far as the page's size and a few seconds of time ask for.

    Args:
        film: The film, (T, [Z,] Y, X).
        progress: Wraps the loop over frames.

    Raises:
        ValueError: A frame cannot be read.
    """
    every = -(-len(film) // MOST)
    n, (height, width) = -(-len(film) // every), film.shape[-2:]
    depth = film.shape[1] if len(film.shape) == 4 else 1
    low, high = _range(film)
    layers, factor = _plan(n, height, width, depth)
    picture = _encoder(low, high)
    trial = [len(picture(image, factor)) for t in _spread(len(film), TRIALS) for image in _layers(_grey(film[t]), layers)]
    factor *= min(1.0, math.sqrt(BYTES / (float(np.mean(trial)) * n * (1 + layers))))
    texts = [
        base64.b64encode(picture(image, factor)).decode("ascii")
        for t in progress(range(0, len(film), every), "drawing")
        for image in _layers(_grey(film[t]), layers)
    ]
    return Pictures(texts, layers, (height, width), depth, _size((height, width), factor), low, high, _format()[1], every)


def _grey(frame: Array) -> Array:
    """A frame as numbers that can be stretched; what is not finite is dark."""
    frame = np.asarray(frame)
    if frame.dtype.kind == "f" and not np.isfinite(frame).all():
        finite = frame[np.isfinite(frame)]
        return np.where(np.isfinite(frame), frame, finite.min() if finite.size else 0)
    return frame.astype(np.uint8) if frame.dtype.kind == "b" else frame


def _spread(n: int, count: int) -> list[int]:
    """Some frames, evenly spread over the film."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).astype(int)).tolist()


def _range(film: OpenedFilm) -> tuple[float, float]:
    """What becomes black and white, the same for the whole film; judged by every fourth pixel of some frames, of large ones by fewer."""
    step = max(2, math.ceil(math.sqrt(math.prod(film.shape[-2:]) / LOOKED_AT)))
    frames = (_layers(_grey(film[t]), 0)[0][::step, ::step].ravel() for t in _spread(len(film), SAMPLES))
    low, high = np.percentile(np.concatenate(list(frames)).astype(float), [DARK, BRIGHT]).tolist()
    return low, high if high > low else low + 1.0


def _plan(n: int, height: int, width: int, depth: int) -> tuple[int, float]:
    """How many layers a frame gets, and how far pictures shrink at least."""
    factor = min(1.0, SIDE / max(height, width), math.sqrt(PIXELS / (n * height * width)))
    pixels = n * height * width * factor**2
    layers = min(depth, LAYERS, int(PIXELS / 2 / pixels))  # layers may take half as much again as the page should, no more
    return (layers if depth > 1 and layers > 1 else 0), factor


def _layers(frame: Array, layers: int) -> list[Array]:
    """The maximum along z, and the maxima of slabs of planes."""
    if frame.ndim == 2:
        return [frame]
    if not layers:
        return [frame.max(0)]
    edges = np.linspace(0, len(frame), layers + 1).round().astype(int)
    return [frame.max(0), *(frame[a:b].max(0) for a, b in pairwise(edges.tolist()))]


def _size(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _format() -> tuple[str, str]:
    """What pictures are compressed with: WebP, or JPEG where pillow was built without it."""
    from PIL import features

    return ("WEBP", "image/webp") if features.check("webp") else ("JPEG", "image/jpeg")


def _encoder(low: float, high: float) -> Callable[[Array, float], bytes]:
    """A function (image, factor) -> bytes of a compressed picture."""
    from PIL import Image

    name, _ = _format()

    def encode(image: Array, factor: float) -> bytes:
        # In single precision, and in one place: grey levels far from 0 (an offset of 32768) must lose nothing before they are stretched.
        level = np.subtract(image, low, dtype=np.float32 if image.dtype.itemsize < 4 else np.float64)
        level *= 255.0 / (high - low)
        picture = Image.fromarray(np.clip(level, 0, 255, out=level).astype(np.uint8))
        if factor < 1:
            height, width = _size((image.shape[0], image.shape[1]), factor)
            picture = picture.resize((width, height), Image.Resampling.BOX)
        buffer = io.BytesIO()
        picture.save(buffer, name, quality=QUALITY, method=2)
        return buffer.getvalue()

    return encode
