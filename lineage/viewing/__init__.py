"""Viewing: results in napari, and the plugin that napari loads."""

from .layers import LayerData, layers_of
from .window import view

__all__ = ["LayerData", "layers_of", "view"]
