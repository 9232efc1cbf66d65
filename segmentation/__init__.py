"""Segmentation: a picture of cells -> a picture of labels.

    import segmentation
    labels = segmentation.load("nuclei-2d").predict(image)

Importing the package is light; names that need torch are loaded when first used.
"""

import importlib

from segmentation.classical import classical

_HOME = {
    "Boundary": "decoders.boundary",
    "Percentiles": "normalise",
    "Schedule": "fit",
    "Segmenter": "segmenter",
    "UNet": "unet",
    "UNetConfig": "unet",
    "find_pairs": "sources",
    "load": "modelzoo",
    "scores": "quality",
    "seg": "quality",
    "train_segmentation": "training",
}

__all__ = ["classical", *sorted(_HOME)]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'segmentation' has no attribute {name!r}: it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"segmentation.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
