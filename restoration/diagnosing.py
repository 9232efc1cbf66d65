"""Should this film be denoised, how, and is a denoised film to be believed: measured, judged in words, on one page."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restoration import page
from restoration.checks import Denoise, Empty, Residual, check_empty, check_residual
from restoration.noise import FRAMES, NoiseModel, frames_of, noise_model
from restoration.ring import Ring, ring_correlation
from restoration.verdicts import Verdict, of_empty, of_noise, of_residual, of_ring
from segmentation.arrays import AnyArray, FloatArray
from segmentation.whole import whole_file

ENDINGS = (".png", ".pdf", ".svg", ".json")


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was measured on a film and on its denoised version.

    Attributes:
        noise: Gain, offset, read noise, correlation.
        ring: Fourier ring correlation of the middle frame with itself: its true resolution.
        residual: What the denoiser took away; None without a denoised film or a denoiser.
        empty: What the denoiser sees in an empty field; None without a denoiser.
        verdicts: What it means, in words, the worst first.
        noisy, denoised: The middle frame, (Y, X), before and after; `denoised` None where there is none.
    """

    noise: NoiseModel
    ring: Ring | None
    residual: Residual | None
    empty: Empty | None
    verdicts: tuple[Verdict, ...]
    noisy: FloatArray
    denoised: FloatArray | None

    def facts(self) -> dict[str, Any]:
        """All numbers and sentences, JSON-able; what is not known is None."""
        noise, share = self.noise, self.noise.correlation
        found: dict[str, Any] = {
            "noise": {name: getattr(noise, name) for name in (*_NOISE, "offset_from", "background", "saturated")},
            "photon_transfer": {"level": noise.level.tolist(), "variance": noise.variance.tolist()},
            "correlation": {
                "direction": share.direction,
                "reach_y_x": share.reach,
                "limit": share.limit,
                "mask": None if share.mask is None else share.mask.astype(int).tolist(),
                "map": share.map.tolist(),
            },
            "ring": None,
            "residual": None,
            "empty": None,
            "verdicts": [{"mark": v.mark, "title": v.title, "words": v.words, "advice": v.advice} for v in self.verdicts],
        }
        if self.ring is not None:
            ring = self.ring
            found["ring"] = {"resolution": ring.resolution, "crosses": ring.crosses, "threshold": ring.threshold}
            found["ring"] |= {"frequency": ring.frequency.tolist(), "correlation": ring.correlation.tolist()}
        if self.residual is not None:
            found["residual"] = {name: getattr(self.residual, name) for name in _RESIDUAL}
        if self.empty is not None:
            found["empty"] = {"frequency": self.empty.frequency.tolist(), "gain": self.empty.gain.tolist()}
            found["empty"] |= {name: getattr(self.empty, name) for name in ("invented", "left", "shift")}
        return _finite(found)

    def save(self, path: str | Path) -> Path:
        """Write one page (.png, .pdf, .svg) or the numbers (.json); the file is whole or not there.

        Args:
            path: Where to; the folder must exist, an older file is replaced.

        Raises:
            ValueError: The name ends otherwise.
            FileNotFoundError: There is no such folder.
        """
        path = writable(path)
        with whole_file(path) as draft:
            if path.suffix.lower() == ".json":
                draft.write_text(json.dumps(self.facts(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
            else:
                page.draw(self).savefig(draft)
        return path


_NOISE = ("gain", "gain_error", "offset", "offset_error", "read", "read_error")
_RESIDUAL = ("removed", "rows", "columns", "detail", "image", "bias")


def diagnose(
    film: Any,  # noqa: ANN401 - an array of any library, an opened film, a list of frames
    *,
    denoised: Any = None,  # noqa: ANN401 - as above
    denoiser: Denoise | None = None,
    offset: float | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Measure the noise of a film, and judge a denoiser by what it takes away and by what it sees where there is nothing.

    Args:
        film: (T, [Z,] Y, X), an array or anything with `len()` whose items are frames; or one (Y, X) picture. Not altered.
        denoised: The same film after denoising, in the same grey levels.
        denoiser: A function picture (Y, X) -> picture, such as `Denoiser.predict`; it is shown an empty field, and the film where
            `denoised` is not given.
        offset: Grey level without any light, where it is known.
        seed: Of the empty field.

    Returns:
        Numbers, verdicts, and a page to save.

    Raises:
        ValueError: The film is too small, constant, saturated or holds NaN; or the denoised film is another film.
    """
    frames = frames_of(film)
    noise = noise_model(film, offset=offset)
    rows = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).astype(int))
    middle = int(rows[len(rows) // 2])
    noisy = _plane(frames[middle])
    after = None if denoised is None else frames_of(denoised)
    if after is not None and (len(after) != len(frames) or np.shape(after[0]) != np.shape(frames[0])):
        shapes = [(len(f), *np.shape(f[0])) for f in (frames, after)]
        raise ValueError(f"the film has shape {shapes[0]}, but the denoised one has {shapes[1]}: give the same frames")
    residual = clean = None
    if after is not None or denoiser is not None:
        pictures = [(_plane(frames[t]), _plane(after[t]) if after is not None else _asked(denoiser, _plane(frames[t]))) for t in rows]
        _check_finite(pictures, rows)
        residual = check_residual([one for one, _ in pictures], [two for _, two in pictures], noise)
        clean = pictures[len(rows) // 2][1]
    empty = None if denoiser is None else check_empty(denoiser, noise, seed=seed)
    ring = ring_correlation(noisy) if noisy.min() < noisy.max() and noise.correlation.direction == "none" else None
    words = [*of_noise(noise), *of_ring(ring)]
    words += [] if residual is None else of_residual(residual)
    words += [] if empty is None else of_empty(empty)
    order = {"bad": 0, "look": 1, "good": 2, "note": 3}
    return Diagnosis(noise, ring, residual, empty, tuple(sorted(words, key=lambda v: order[v.mark])), noisy, clean)


def writable(path: str | Path) -> Path:
    """Where a diagnosis goes, or an error that says why it cannot go there.

    Args:
        path: Ends in .png, .pdf, .svg or .json.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"cannot save a diagnosis as {path.name}: the name must end in {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")
    return path


def _plane(frame: AnyArray) -> FloatArray:
    """A picture as it is, of a stack the middle slice."""
    frame = np.asarray(frame, float)
    return frame if frame.ndim == 2 else frame[len(frame) // 2]


def _asked(denoiser: Denoise | None, picture: FloatArray) -> FloatArray:
    assert denoiser is not None
    answer = np.asarray(denoiser(picture.astype(np.float32)), float)
    if answer.shape != picture.shape:
        raise ValueError(f"the denoiser turned a picture of shape {picture.shape} into {answer.shape}: it must keep the shape")
    return answer


def _check_finite(pictures: list[tuple[FloatArray, FloatArray]], rows: AnyArray) -> None:
    for t, (_, clean) in zip(rows, pictures, strict=True):
        if not np.isfinite(clean).all():
            raise ValueError(f"frame {t} of the denoised film has {int((~np.isfinite(clean)).sum())} NaN or infinite pixels")


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same, with None for what JSON cannot say."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
