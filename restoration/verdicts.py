"""What the measured numbers mean, in words, and what to do."""

import math
from dataclasses import dataclass
from typing import Literal

from restoration.checks import Empty, Residual
from restoration.noise import NoiseModel
from restoration.ring import Ring

Mark = Literal["good", "look", "bad", "note"]


@dataclass(frozen=True)
class Verdict:
    """One judgement.

    Attributes:
        mark: "good", "look" (look closer), "bad", or "note" (no judgement).
        title: What it is about, a few words.
        words: What was found, a sentence or two with the numbers.
        advice: What to do; may be empty.
    """

    mark: Mark
    title: str
    words: str
    advice: str = ""


def of_noise(noise: NoiseModel) -> list[Verdict]:
    """Judge the noise of a film.

    Args:
        noise: See `noise_model`.
    """
    return [_light(noise), _sharing(noise), *_camera(noise)]


def of_ring(ring: Ring | None) -> list[Verdict]:
    """Judge the resolution of a frame.

    Args:
        ring: See `ring_correlation`; None where pixels share noise.
    """
    if ring is None:
        return [Verdict("note", "Resolution", "One frame alone cannot tell its resolution, as its pixels share noise.")]
    if math.isinf(ring.resolution):
        return [Verdict("look", "Resolution", "No detail of a single frame rises above its noise.", "Average or denoise before measuring.")]
    if not ring.crosses:
        return [
            Verdict("good", "Resolution", f"Detail is above the noise down to {ring.resolution:.1f} pixels, the finest that was looked at.")
        ]
    return [Verdict("note", "Resolution", f"Detail of a single frame drowns in its noise below {ring.resolution:.1f} pixels.")]


def of_residual(residual: Residual) -> list[Verdict]:
    """Judge what a denoiser took away.

    Args:
        residual: See `check_residual`.
    """
    share = f"{100 * residual.removed:.0f} % of the noise's power was taken away"
    found: list[Verdict] = []
    if residual.removed < 0.02:
        return [Verdict("look", "Noise", f"Nothing was denoised: {share}.")]
    if residual.detail > 1.5 and residual.image < -0.3:
        words = (
            f"There is detail that the noisy film does not have: {residual.detail:.1f} times the coarse power of noise, against the image."
        )
        return [Verdict("bad", "Added detail", words, "Do not measure on this film. Train on pictures like it.")]
    if residual.detail > 1.5:
        words = f"Parts of the cells were taken away with the noise: {residual.detail:.1f} times the coarse power that noise has."
        found.append(Verdict("bad", "Lost detail", words, "Denoise less, or train longer; look at what was taken away."))
    elif residual.detail > 1.2:
        words = f"A little of the cells was taken away with the noise: {residual.detail:.1f} times the coarse power that noise has."
        found.append(Verdict("look", "Lost detail", words, "Look at what was taken away: outlines should not be seen."))
    else:
        found.append(Verdict("good", "Lost detail", "None: what was taken away looks like noise."))
    if residual.removed < 0.8 or min(residual.rows, residual.columns) < -0.1:
        words = f"Noise is left: {share}; neighbours in it correlate by {residual.rows:+.2f} along x and {residual.columns:+.2f} along y."
        found.append(Verdict("look", "Noise", words, "Fine for tracking; train longer for a cleaner film."))
    elif residual.detail <= 1.5:
        found.append(Verdict("good", "Noise", f"{share}.".capitalize()))
    if abs(residual.bias) > 0.1:
        words = f"Brightness moved by {abs(residual.bias):.2f} standard deviations of the noise."
        found.append(Verdict("look", "Brightness", words, "Do not measure intensities on the denoised film."))
    return found


def of_empty(empty: Empty) -> list[Verdict]:
    """Judge what a denoiser sees in an empty field.

    Args:
        empty: See `check_empty`.
    """
    found: list[Verdict] = []
    strength = f"at some scale its answer has {empty.invented:.1f} times the power of the noise"
    if empty.invented > 2:
        words = f"The denoiser sees things in an empty field: {strength}."
        found.append(Verdict("bad", "Empty field", words, "Do not trust faint objects; train on pictures with empty places."))
    elif empty.invented > 1.5:
        found.append(Verdict("look", "Empty field", f"The denoiser strengthens noise: {strength}.", "Doubt faint objects."))
    else:
        found.append(
            Verdict("good", "Empty field", f"Nothing is invented; {100 * min(empty.left, 1):.0f} % of the noise's deviation is left.")
        )
    if abs(empty.shift) > 0.5:
        words = f"The brightness of an empty field moves by {empty.shift:+.1f} standard deviations of its noise."
        found.append(Verdict("look", "Background", words, "Do not compare intensities between frames."))
    return found


def _light(noise: NoiseModel) -> Verdict:
    bright = float(noise.level[-1])
    if noise.gain == 0 and noise.read < 1e-3:
        return Verdict("look", "Light", "No noise can be seen: was the film compressed or already smoothed?", "Take the raw film.")
    contrast = (bright - noise.background) / math.sqrt(float(noise.variance_at(bright)))
    words = f"The brightest cells stand {contrast:.1f} standard deviations of the noise above the background."
    if noise.gain > 0 and noise.offset_from == "darkest":
        words += f" A bright pixel has {_photons(noise, bright)} photons or more."
    elif noise.gain > 0:
        words += f" A bright pixel has about {_photons(noise, bright)} photons, the background {_photons(noise, noise.background)}."
    if contrast < 4:
        return Verdict("look", "Light", words, "Denoise before you segment.")
    if contrast < 12:
        return Verdict("note", "Light", words, "Denoising may help: compare lineages with and without.")
    return Verdict("good", "Light", words, "Denoising is hardly needed.")


def _photons(noise: NoiseModel, level: float) -> str:
    return f"{float(f'{max(noise.photons(level), 0):.2g}'):,g}"


def _sharing(noise: NoiseModel) -> Verdict:
    share = noise.correlation
    y, x = share.reach
    middle = len(share.map) // 2
    if share.direction == "none":
        return Verdict(
            "good", "Neighbours", f"Pixels do not share noise (correlations below {share.limit:.2f}).", "Noise2Void may be used."
        )
    where = {
        "rows": f"along x, over {x} pixels (nearest: {share.map[middle, middle + 1]:+.2f})",
        "columns": f"along y, over {y} pixels (nearest: {share.map[middle + 1, middle]:+.2f})",
    }.get(share.direction, f"in both directions, over {y} (y) and {x} (x) pixels (nearest: {share.map[middle, middle + 1]:+.2f} along x)")
    assert share.mask is not None
    height, width = share.mask.shape
    shape = f"{height} x {width} pixels" + (", a cross" if share.direction == "cross" else "")
    return Verdict(
        "look", "Neighbours", f"Pixels share noise {where}.", f"Plain Noise2Void would keep it: hide {shape}, around each blind spot."
    )


def _camera(noise: NoiseModel) -> list[Verdict]:
    words = (
        f"Gain {noise.gain:.3g} ± {noise.gain_error:.1g} grey levels a photon" if noise.gain else "The noise does not grow with the light"
    )
    sure = math.isfinite(noise.offset_error)
    words += f"; offset {noise.offset:.1f}" + (f" ± {noise.offset_error:.1g}" if sure else " or less (the darkest level)")
    words += f"; read noise {noise.read:.3g}" + (
        f" ± {noise.read_error:.1g}." if math.isfinite(noise.read_error) else " grey levels or less."
    )
    advice = "" if sure else "A few frames with closed shutter would tell the offset."
    found = [Verdict("note", "Camera", words, advice)]
    if noise.saturated > 1e-3:
        part = f"{100 * noise.saturated:.2g} % of the pixels are at the upper end of what the camera can say."
        found.append(Verdict("look", "Saturation", part, "Expose less: what is cut off cannot be restored."))
    return found
