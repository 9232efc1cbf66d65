"""Slices or frames in between: what a stack or film shows between two neighbours, learned from the stack or film itself (needs torch)."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restoration.axial import PATCHES, Patches, contrasty
from restoration.corrector import SCHEDULE, Corrector, Range
from segmentation.arrays import AnyArray, FloatArray
from segmentation.classical import classical
from segmentation.fit import Progress, Schedule, silent
from segmentation.normalise import check_finite
from segmentation.unet import UNetConfig

CONFIG = UNetConfig(inputs=2, outputs=1, width=16, depth=3, norm="none")
KIND = "slices"
HELD = 5  # every fifth picture is never learned from, and tells how good the network is
MOST = 32  # pictures kept in memory to learn from
FAR = 0.1  # part of the cells that may move by more than their own size before a warning


@dataclass(frozen=True, eq=False)
class Between:
    """Draws the picture between two neighbours.

    Args:
        corrector: adds what is missing to the mean of the neighbours.
    """

    corrector: Corrector

    @classmethod
    def train(  # noqa: PLR0913 (keyword-only)
        cls,
        film: Sequence[AnyArray] | AnyArray,
        *,
        centres: Sequence[int] | None = None,
        config: UNetConfig = CONFIG,
        schedule: Schedule = SCHEDULE,
        patches: Patches = PATCHES,
        device: str = "auto",
        progress: Progress = silent,
    ) -> "Between":
        """Learn from a stack or film: each picture must follow from the one before and the one after.

        Args:
            film: (n, Y, X), an array or anything with `len()` whose items are pictures; finite, at least 3.
            centres: pictures to learn; all that have two neighbours when not given.
            config: shape of the network, two inputs.
            schedule: how long and how fast.
            patches: how patches are drawn.
            device: "auto", "cpu" or "cuda".
            progress: draws a bar.
        """
        rows = list(range(1, len(film) - 1)) if centres is None else list(centres)
        if not rows or min(rows) < 1 or max(rows) > len(film) - 2:
            raise ValueError(f"there are {len(film)} pictures, of which {rows[:5]} are to be learned: each needs a neighbour on both sides")
        rng = np.random.default_rng(patches.seed)
        chosen = sorted(rng.permutation(rows)[:MOST].tolist())
        triples = [np.stack([_picture(film, t + step) for step in (-1, 0, 1)]) for t in chosen]
        span = Range.of(np.stack([triple[1] for triple in triples]))
        about = {"kind": KIND, "pictures": len(chosen), "steps": schedule.steps, "seed": patches.seed}
        batches = _batches(triples, span, patches, divisor=max(config.divisors))
        return cls(
            Corrector.learn(batches, config, span, schedule=schedule, seed=patches.seed, about=about, device=device, progress=progress)
        )

    def predict(self, before: AnyArray, after: AnyArray) -> FloatArray:
        """Draw the picture between two.

        Args:
            before: (Y, X), finite.
            after: (Y, X).

        Returns:
            float32 (Y, X). The same when both are exchanged.
        """
        pair = np.stack([np.asarray(before, np.float32), np.asarray(after, np.float32)])
        both = self.corrector(pair)[0] + self.corrector(pair[::-1])[0]
        return np.asarray(pair.mean(0) + both / 2, np.float32)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file.

        Args:
            path: file to write; it appears only when complete.
        """
        self.corrector.save(path, KIND, {})

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> "Between":
        """Read what `save` wrote; tensors and JSON only, no code is run.

        Args:
            path: a safetensors file of this program.
            device: "auto", "cpu" or "cuda".
        """
        return cls(Corrector.load(path, KIND, device=device)[0])


@dataclass(frozen=True, eq=False)
class Filled:
    """A stack or film with pictures filled in.

    Attributes:
        film: float32 (m, Y, X).
        new: rows of `film` that were drawn.
        error: root mean square error of the network on pictures it never saw, as a part of the grey levels' range.
        linear: the same of the plain mean of the neighbours.
        method: "network" or "linear": whichever was nearer; the pictures are drawn with it.
        moved: part of the cells that lie beside, not upon, where any cell was two pictures before.
    """

    film: FloatArray
    new: tuple[int, ...]
    error: float
    linear: float
    method: str
    moved: float


def fill(
    film: Sequence[AnyArray] | AnyArray,
    missing: Sequence[int] | None = None,
    *,
    schedule: Schedule = SCHEDULE,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> Filled:
    """Draw slices or frames that are missing, or one between every two.

    A network learns from the stack or film itself to draw a picture from its two neighbours. On pictures kept back it is held against the
    mean of the neighbours; the better of the two draws. Where cells move by more than their own size from one picture to the next but one,
    neither can know where they were in between, and a warning says so.

    Args:
        film: (n, Y, X), a stack's slices or a film's frames, at least 5; finite but for missing ones; not altered.
        missing: rows to draw anew, whatever they show now; both neighbours of each must be there. None: one more picture between every two.
        schedule: how long and how fast to learn.
        seed: the same seed gives the same pictures.
        device: "auto", "cpu" or "cuda".
        progress: draws a bar.

    Returns:
        The pictures and how good they are.

    Raises:
        ValueError: a missing row has no neighbours, or too few pictures are there to learn from.
    """
    n, lost = len(film), sorted({int(t) for t in missing or ()})
    for t in lost:
        if not 0 < t < n - 1 or {t - 1, t + 1} & set(lost):
            raise ValueError(f"picture {t} of {n} cannot be drawn: the pictures before and after it must be there")
    known = [t for t in range(1, n - 1) if not {t - 1, t, t + 1} & set(lost)]
    held = known[HELD // 2 :: HELD]
    learned = [t for t in known if t not in held]
    if not learned or not held:
        raise ValueError(f"{len(known)} of {n} pictures have both neighbours: at least 3 are needed to learn from")
    patches = Patches(seed=seed)
    between = Between.train(film, centres=learned, schedule=schedule, patches=patches, device=device, progress=progress)
    triples = [[_picture(film, t + step) for step in (-1, 0, 1)] for t in held]
    error, linear = (_error(triples, draw, between.corrector.range.span) for draw in (between.predict, _mean))
    moved = float(np.mean([_moved(before, after) for before, _, after in triples]))
    if moved > FAR:
        warnings.warn(
            f"{100 * moved:.0f} % of the cells move by more than their own size: pictures in between show them at two places or none",
            stacklevel=2,
        )
    draw = between.predict if error < linear else _mean
    rows = lost if missing is not None else list(range(1, 2 * n - 1, 2))
    shape = (n if missing is not None else 2 * n - 1, *np.shape(film[0]))
    out = np.empty(shape, np.float32)
    step = 1 if missing is not None else 2
    for t in range(n):
        if t * step not in rows:
            out[t * step] = _picture(film, t)
    for row in progress(rows, "drawing"):
        out[row] = draw(out[row - 1], out[row + 1])
    return Filled(out, tuple(rows), error, linear, "network" if error < linear else "linear", moved)


def _batches(triples: Sequence[FloatArray], span: Range, patches: Patches, *, divisor: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Endless pairs of neighbours and what their mean lacks, in units of the range; turned, mirrored, and exchanged at random."""
    rng = np.random.default_rng(patches.seed)
    side = patches.fitting(triples[0].shape[1:], divisor)
    while True:
        shown, wanted = [], []
        for _ in range(patches.count):
            cut = contrasty([_cut(triples, side, rng) for _ in range(patches.choices if rng.random() < 0.75 else 1)])
            before, middle, after = (cut - span.dark) / span.span
            shown.append(np.stack([before, after]))
            wanted.append((middle - (before + after) / 2)[None])
        yield np.stack(shown).astype(np.float32), np.stack(wanted).astype(np.float32)


def _cut(triples: Sequence[FloatArray], side: int, rng: np.random.Generator) -> FloatArray:
    triple = triples[int(rng.integers(len(triples)))]
    y, x = (int(rng.integers(n - side + 1)) for n in triple.shape[1:])
    cut = np.rot90(triple[:, y : y + side, x : x + side], int(rng.integers(4)), (1, 2))
    return cut[:: 1 - 2 * int(rng.integers(2)), :, :: 1 - 2 * int(rng.integers(2))]


def _picture(film: Any, t: int) -> FloatArray:  # noqa: ANN401 - an array of any library, a list
    picture = np.asarray(film[t])
    if picture.ndim != 2 or picture.shape != np.shape(film[0]):
        raise ValueError(f"picture {t} has shape {picture.shape}: give (Y, X) pictures of one shape")
    try:
        check_finite(picture)
    except ValueError as error:
        raise ValueError(f"picture {t}: {error}") from None
    return picture.astype(np.float32)


def _mean(before: FloatArray, after: FloatArray) -> FloatArray:
    return (before + after) / 2


def _error(triples: Sequence[Sequence[FloatArray]], draw: Any, span: float) -> float:  # noqa: ANN401 - either way to draw
    return float(np.sqrt(np.mean([np.mean((draw(before, after) - middle) ** 2) for before, middle, after in triples]))) / span


def _moved(before: FloatArray, after: FloatArray) -> float:
    """Part of the cells of the second picture that share no pixel with any cell of the first; 0 where there are none."""
    one, two = classical(before) > 0, classical(after)
    cells = np.arange(1, int(two.max(initial=0)) + 1)
    met = np.bincount(two[one].ravel(), minlength=len(cells) + 1)[1:]
    return float((met == 0).mean()) if len(cells) else 0.0
