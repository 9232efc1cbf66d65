"""From what the network says about pixels to cells; one module per method, all with one interface."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from segmentation.decoders.affinity import SOLID, Affinity
from segmentation.decoders.boundary import Boundary
from segmentation.decoders.classes import Classes
from segmentation.decoders.components import Components
from segmentation.decoders.distance import Distance
from segmentation.decoders.interface import Decoder as Decoder
from segmentation.decoders.interface import names_cells as names_cells
from segmentation.decoders.star import Star

DECODERS: Mapping[str, type[Any]] = {
    "boundary": Boundary,
    "components": Components,
    "distance": Distance,
    "affinity": Affinity,
    "star": Star,
    "classes": Classes,
}


def decoder_named(name: str, **thresholds: Any) -> Decoder:  # noqa: ANN401 - whatever the decoder takes
    """Make a decoder from its name and fields.

    Args:
        name: one of `DECODERS`.
        thresholds: its fields; defaults where left out.

    Raises:
        ValueError: no such decoder, or no such field.
    """
    if name not in DECODERS:
        raise ValueError(f"decoder {name!r} is unknown: take one of {', '.join(DECODERS)}")
    try:
        made: Decoder = DECODERS[name](**thresholds)
    except TypeError as error:
        raise ValueError(f"decoder {name!r}: {error}") from None
    return made


def usual(name: str, dims: int) -> Decoder:
    """Make a decoder with the fields that are usual for pictures of so many axes.

    Args:
        name: one of `DECODERS`.
        dims: number of spatial axes, 2 or 3.

    Raises:
        ValueError: no such decoder.
    """
    solid: Mapping[str, dict[str, Any]] = {"star": {"dims": 3}, "affinity": {"offsets": SOLID}}
    return decoder_named(name, **(solid.get(name, {}) if dims == 3 else {}))


def described(decoder: Decoder) -> dict[str, Any]:
    """Say in JSON-able values what makes this decoder: its name and its fields.

    Args:
        decoder: one of `DECODERS`.
    """
    name = next(name for name, kind in DECODERS.items() if type(decoder) is kind)
    return {"name": name, **asdict(decoder)}  # type: ignore[call-overload]
