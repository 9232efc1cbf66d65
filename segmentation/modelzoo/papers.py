"""What people read and see of a package: its documentation and its cover."""

import colorsys
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from segmentation.arrays import AnyArray, IntArray

SIDE = 256  # pixels of either half of the cover


def documentation(about: Mapping[str, Any], facts: Mapping[str, str], remarks: Sequence[str], text: str) -> str:
    """Write the README of a package.

    Args:
        about: what the model remembers of its training.
        facts: rows of the table at the top.
        remarks: how use by other programs differs from use by this one.
        text: the model card; empty: what is remembered of the training instead.
    """
    table = "\n".join(f"| {name} | {' '.join(value.split())} |" for name, value in facts.items())
    lines = [f"# {facts['name']}", "", "| | |", "|---|---|", table, "", "## In other programs", "", *(f"- {line}" for line in remarks), ""]
    if text:
        lines += ["## Model card", "", text.replace("\n# ", "\n### ").removeprefix("# ").strip(), ""]
    if about:
        lines += ["## Training", "", *(f"- {name}: {_short(value)}" for name, value in about.items()), ""]
    if "validation" not in text.lower() or not any(line.startswith("#") and "alidation" in line for line in text.splitlines()):
        lines += [
            "## Validation",
            "",
            "Label some of your own pictures, then compare: `segmentation.scores((labels, model.predict(image)) for ...)` gives the",
            "average precision over IoU 0.5 to 0.95, pooled over all objects and per picture.",
            "",
        ]
    return "\n".join(lines)


def cover(image: AnyArray, labels: IntArray) -> bytes:
    """Draw the picture and, beside it, the cells that were found, as a PNG of 512 x 256 pixels.

    Args:
        image: ([Z,] Y, X); of a volume the brightest pixel along z is shown.
        labels: same shape.
    """
    flat = np.asarray(image if image.ndim == 2 else image.max(0), np.float64)
    cells = labels if labels.ndim == 2 else labels.max(0)
    low, high = np.percentile(flat, [1, 99.5]) if flat.size else (0.0, 1.0)
    grey = np.clip((flat - low) / max(high - low, 1e-9), 0, 1)
    hues = (np.arange(int(cells.max(initial=0)) + 1) * 0.618034) % 1
    colours = np.array([colorsys.hsv_to_rgb(hue, 0.75, 0.95) for hue in hues])
    colours[0] = 0
    halves = [np.repeat(grey[..., None], 3, axis=2), colours[cells] * (0.45 + 0.55 * grey[..., None])]
    drawn = Image.new("RGB", (2 * SIDE, SIDE))
    for i, half in enumerate(halves):
        tile = Image.fromarray((255 * half).astype(np.uint8))
        kind = Image.Resampling.BILINEAR if i == 0 else Image.Resampling.NEAREST
        drawn.paste(tile.resize((SIDE, SIDE), kind), (i * SIDE, 0))
    stream = io.BytesIO()
    drawn.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _short(value: Any) -> str:  # noqa: ANN401 - any value that JSON can hold
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else text[:297] + "..."
