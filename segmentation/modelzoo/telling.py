"""What models say of themselves, for the command line and for people (needs torch)."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from segmentation.arrays import AnyArray
from segmentation.modelzoo.writing import is_savable
from segmentation.segmenter import WEIGHTS, Segmenter


def shipped() -> list[tuple[str, str]]:
    """Give the name of every shipped model and the first sentence of its card."""
    return [(path.stem, _sentence(card_of(path.stem))) for path in sorted(WEIGHTS.glob("*.safetensors"))]


def card_of(name: str) -> str:
    """Give the card of a shipped model; empty for any other.

    Args:
        name: of the model.
    """
    path = WEIGHTS / f"{name}.md"
    return path.read_text(encoding="utf-8") if Path(name).name == name and path.is_file() else ""


def told(model: Segmenter) -> dict[str, str]:
    """Say what a model is made of.

    Args:
        model: any segmenter.

    Returns:
        Lines of text by what they are about.
    """
    config: Any = model.network.config
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    space = "(Y, X)" if config.dims == 2 else "(Z, Y, X)"
    normalise: Any = model.normalise
    steps, divisors, halos = getattr(normalise, "steps", ()), _sides(config.divisors), _sides(config.halos)
    thresholds = {f.name: getattr(model.decoder, f.name) for f in fields(model.decoder)}  # type: ignore[arg-type]
    inner = type(getattr(model.decoder, "decoder", model.decoder)).__name__
    lines = {
        "network": f"{type(model.network).__name__}, {parameters / 1e6:.2f} million parameters",
        "takes": f"{config.inputs} channel(s) of {space} pixels, in multiples of {divisors}, sees {halos} around",
        "says": ", ".join(model.decoder.channels),
        "normalisation": _values(asdict(normalise)) if is_savable(model) else ", ".join(step.name for step in steps),
        "decoder": f"{inner}: {_values(thresholds)}" if is_savable(model) else inner,
    }
    return lines | {str(key): _short(value) for key, value in model.about.items()}


def example(model: Segmenter, path: Path | None) -> AnyArray:
    """Give a picture that a model can be shown: from a TIFF file, or simulated bright discs on a dark, noisy ground.

    Args:
        model: says how many axes and channels.
        path: of a TIFF file; None: simulated.

    Raises:
        ValueError: a file that cannot be read as TIFF.
    """
    config = model.network.config
    if path is not None:
        try:
            return np.asarray(tifffile.imread(path))
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise ValueError(f"{path} cannot be read as TIFF: {' '.join(str(error).split())[:120]}") from None
    rng = np.random.default_rng(0)
    shape = (256, 256) if config.dims == 2 else (24, 96, 96)
    places = np.indices(shape)
    image = np.full(shape, 20.0)
    for centre in rng.uniform(0, shape, (40, config.dims)):  # a few discs, each over the whole picture
        away = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(places, centre, strict=True)))
        image = np.maximum(image, 20 + rng.uniform(60, 120) / (1 + np.exp(away - rng.uniform(6, 11))))
    noisy = rng.poisson(image).astype(np.uint16)
    return noisy if config.inputs == 1 else np.stack([noisy] * config.inputs)


def save_imported(model: Segmenter, path: Path, package: Path) -> None:
    """Save a model that came from a package.

    Args:
        model: from `read_package`.
        path: weights file to write.
        package: where it came from, for messages.

    Raises:
        ValueError: its network or its processing exists in the package only.
    """
    if not is_savable(model):
        raise ValueError(f"{package}: its network or processing cannot be told in a weights file: use the package itself as the model")
    model.save(path)


def _sentence(card: str) -> str:
    """The first sentence below the title, up to a colon."""
    lines = [line for line in card.splitlines()[1:] if line.strip()]
    return lines[0].split(": `")[0].rstrip(".") + "." if lines else "has no card."


def _sides(sides: tuple[int, ...]) -> str:
    return str(sides[0]) if len(set(sides)) == 1 else " x ".join(str(side) for side in sides)


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _short(value: Any) -> str:  # noqa: ANN401 - any value that JSON can hold
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else text[:297] + "..."
