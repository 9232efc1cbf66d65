"""One page: the film, its noise, what a denoiser did to it, and the verdicts beside (needs matplotlib, loaded when drawn)."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from restoration.checks import Empty, Residual
from restoration.noise import NoiseModel
from restoration.ring import Ring
from restoration.verdicts import Verdict
from segmentation.arrays import AnyArray, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE, ACCENT = "#1f2933", "#7b8794", "#d9dee4", "#0b6e99"
COLOURS = {"good": "#2e7d4f", "look": "#c77700", "bad": "#b3261e", "note": "#7b8794"}
WORDS = {"good": "good", "look": "look closer", "bad": "not to be trusted", "note": ""}
CROP = 256  # pixels shown of a picture, so that noise can be seen


class Findings(Protocol):
    """What the page shows; see `restoration.diagnosing.Diagnosis`."""

    @property
    def noise(self) -> NoiseModel:
        """The noise of the film."""
        ...

    @property
    def ring(self) -> Ring | None:
        """Its resolution."""
        ...

    @property
    def residual(self) -> Residual | None:
        """What was taken away."""
        ...

    @property
    def empty(self) -> Empty | None:
        """What was seen in an empty field."""
        ...

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What it means."""
        ...

    @property
    def noisy(self) -> FloatArray:
        """A frame, (Y, X)."""
        ...

    @property
    def denoised(self) -> FloatArray | None:
        """The same after denoising, (Y, X)."""
        ...


def draw(found: Findings) -> Figure:
    """Draw a diagnosis on one page.

    Args:
        found: What was measured.

    Returns:
        A matplotlib figure, landscape A4.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {"font.family": "DejaVu Sans", "font.size": 7.5, "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "text.color": INK}
    style |= {"xtick.color": SOFT, "ytick.color": SOFT, "axes.titlesize": 8.5, "axes.titleweight": "bold", "axes.titlelocation": "left"}
    with rc_context(style):
        figure = Figure(figsize=(11.7, 8.27), dpi=130, facecolor="white")
        panels = _panels(found)
        columns = 2 if len(panels) <= 4 else 3
        width, height = 0.645 / columns, 0.86 / math.ceil(len(panels) / columns)
        side = min(width - 0.06, (height - 0.085) * 8.27 / 11.7)  # of a square, as a part of the page's width
        for k, (panel, *what) in enumerate(panels):
            left, top = 0.06 + width * (k % columns), 0.865 - height * (k // columns)
            axes = figure.add_axes((left, top - side * 11.7 / 8.27, side, side * 11.7 / 8.27))
            panel(axes, *what)
        worst = next((v.mark for v in found.verdicts if v.mark in ("bad", "look")), "good")
        figure.text(
            0.06,
            0.945,
            "Noise of the film" if found.residual is None else "Is the denoised film to be believed?",
            fontsize=16,
            weight="bold",
        )
        figure.text(0.06, 0.915, _headline(found, worst), fontsize=9.5, color=COLOURS[worst])
        _column(figure, found.verdicts)
    return figure


def _panels(found: Findings) -> list[tuple[Any, ...]]:
    """Which panels there are, with what each shows."""
    noisy, noise = _crop(found.noisy), found.noise
    span = tuple(np.percentile(noisy, [0.5, 99.8]))
    panels: list[tuple[Any, ...]] = [
        (_picture, noisy, "The film", span),
        (_transfer, noise),
        (_map, noise.correlation.map, "Noise shared by neighbours"),
    ]
    if found.denoised is not None and found.residual is not None:
        panels.append((_picture, _crop(found.denoised), "Denoised", span))
        panels.append((_picture, _crop(found.residual.picture), "Taken away (± 3 noise)", (-3.0, 3.0)))
        panels.append((_map, found.residual.map, "Shared in what was taken"))
    panels.append((_ring, found.ring))
    if found.empty is not None:
        middle, spread = float(found.empty.before.mean()), float(found.empty.before.std())
        panels.append((_picture, _crop(found.empty.after), "Answer to an empty field", (middle - 2 * spread, middle + 2 * spread)))
        panels.append((_gain, found.empty))
    return panels


def _headline(found: Findings, worst: str) -> str:
    first = found.verdicts[0]
    marks = [v.mark for v in found.verdicts]
    if worst == "good":
        return "Nothing speaks against this film."
    more = marks.count("bad") + marks.count("look") - 1
    return f"{first.title}: {WORDS[worst]}" + (f", and {more} more to look at" if more else "")


def _column(figure: Figure, verdicts: tuple[Verdict, ...]) -> None:
    """The verdicts, one below the other, each with a coloured bar."""
    from matplotlib.lines import Line2D

    left, top = 0.73, 0.855
    for verdict in verdicts:
        lines = textwrap.wrap(verdict.words, 54)
        advice = textwrap.wrap(f"→ {verdict.advice}", 54) if verdict.advice else []
        height = 0.021 + 0.0172 * (len(lines) + len(advice))
        colour = COLOURS[verdict.mark]
        figure.add_artist(
            Line2D([left - 0.01] * 2, [top + 0.014, top - height + 0.018], color=colour, linewidth=2.5, solid_capstyle="butt")
        )
        figure.text(left, top, verdict.title, weight="bold", fontsize=8.5, va="center")
        figure.text(0.975, top, WORDS[verdict.mark], color=colour, fontsize=7.5, va="center", ha="right")
        figure.text(left, top - 0.012, "\n".join(lines), va="top", linespacing=1.3, fontsize=7.5)
        if advice:
            figure.text(left, top - 0.012 - 0.0172 * len(lines), "\n".join(advice), va="top", linespacing=1.3, color=ACCENT, fontsize=7.5)
        top -= height + 0.022


def _crop(picture: AnyArray) -> AnyArray:
    """The middle of a picture."""
    y, x = (max((n - CROP) // 2, 0) for n in picture.shape)
    return picture[y : y + CROP, x : x + CROP]


def _picture(axes: Axes, picture: AnyArray, title: str, span: tuple[float, float]) -> None:
    axes.imshow(picture, cmap="gray", vmin=span[0], vmax=max(span[1], span[0] + 1e-9), interpolation="nearest")
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def _transfer(axes: Axes, noise: NoiseModel) -> None:
    level = np.array([min(noise.level[0], noise.offset), noise.level[-1]])
    axes.plot(level, noise.variance_at(level), color=ACCENT, linewidth=1.2, label=f"{noise.gain:.3g} grey levels a photon")
    axes.plot(noise.level, noise.variance, "o", color=INK, markersize=2.5)
    axes.set_title("Photon transfer")
    axes.set_xlabel("brightness (grey levels)")
    axes.set_ylabel("variance of the noise")
    axes.set_ylim(0, 1.15 * float(np.percentile(noise.variance, 98)))
    if noise.gain:
        axes.legend(frameon=False, loc="upper left", fontsize=7, handlelength=1)
    _plain(axes)


def _map(axes: Axes, values: FloatArray, title: str) -> None:
    shown, reach = values.copy(), len(values) // 2
    shown[reach, reach] = np.nan  # a pixel with itself is always 1
    bound = max(0.1, float(np.nanmax(np.abs(shown))))
    axes.imshow(shown, cmap="RdBu_r", vmin=-bound, vmax=bound, extent=(-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5))
    axes.set_title(title)
    axes.set_xlabel(f"along x (pixels); colours ± {bound:.2f}")
    axes.set_ylabel("along y")
    axes.set_facecolor(LINE)


def _ring(axes: Axes, ring: Ring | None) -> None:
    axes.set_title("Detail above the noise")
    if ring is None:
        axes.text(0.5, 0.5, "one frame cannot tell:\npixels share noise", transform=axes.transAxes, ha="center", va="center", color=SOFT)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.plot(ring.frequency, ring.correlation, color=INK, linewidth=1)
    axes.axhline(ring.threshold, color=ACCENT, linewidth=0.8, linestyle="--")
    if ring.crosses and math.isfinite(ring.resolution):
        axes.axvline(1 / ring.resolution, color=ACCENT, linewidth=0.8)
        axes.text(1 / ring.resolution, 0.95, f" {ring.resolution:.1f} px", color=ACCENT)
    axes.set_ylim(min(-0.1, float(ring.correlation.min())), 1.05)
    axes.set_xlabel("periods a pixel")
    axes.set_ylabel("Fourier ring correlation")
    _plain(axes)


def _gain(axes: Axes, empty: Empty) -> None:
    axes.bar(range(len(empty.gain)), empty.gain, color=[COLOURS["bad"] if g > 2 else ACCENT for g in empty.gain])
    axes.axhline(1, color=INK, linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(empty.gain)), [f"{1 / f:.0f}" for f in empty.frequency])
    axes.set_ylim(0, max(1.2, 1.1 * empty.invented))
    axes.set_title("Power: answer / noise")
    axes.set_xlabel("size of detail (pixels)")
    _plain(axes)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=2)
