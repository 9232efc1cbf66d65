"""Layers: a film, its masks and its lineages as napari takes them, without napari."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lineage.arrays import Array, Film, length
from lineage.forest import Forest
from lineage.formats.shared_masks import seconds
from lineage.matching import Relabelled

LayerData = tuple[Any, dict[str, Any], str]  # what napari adds: data, keyword arguments, kind of layer


@dataclass(frozen=True, eq=False)
class LazyFilm:
    """A film that can be indexed like an array, as napari does it, and reads only the frames that are asked for.

    Attributes:
        shape: (T, [Z,] Y, X), pixels.
        dtype: Type of its pixels.
        frame: Gives frame t.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    frame: Callable[[int], Array] = field(repr=False)

    @property
    def ndim(self) -> int:
        """Number of axes, time included."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels of all frames."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:  # noqa: ANN401 - whatever indexes an array
        time, *space = index if isinstance(index, tuple) else (index,)
        if time is Ellipsis:
            return np.asarray(self)[index]
        frames = np.arange(len(self))[time]
        if np.ndim(frames) == 0:
            return self._one(int(frames))[tuple(space)]
        return (
            np.stack([self._one(t)[tuple(space)] for t in frames.tolist()]) if len(frames) else np.zeros((0, *self.shape[1:]), self.dtype)
        )

    def _one(self, t: int) -> Array:
        return np.asarray(self.frame(t)).astype(self.dtype, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: ANN401 - as NumPy calls it
        return np.stack([self._one(t) for t in range(len(self))]).astype(dtype or self.dtype, copy=False)


def lazy(film: Film) -> LazyFilm:
    """A film of any library as one that napari can slice."""
    first = np.asarray(film[0])
    return LazyFilm((length(film), *first.shape), first.dtype, lambda t: np.asarray(film[t]))


def lineage_film(forest: Forest, labels: Film) -> LazyFilm:
    """The label film with lineage numbers for labels, made frame by frame when it is looked at; what is not selected vanishes."""
    rows = np.flatnonzero(forest.selected & ~seconds(forest))
    cells = forest.detections
    renumbered = Relabelled(labels, cells.frame[rows], cells.label[rows], forest.lineage_id[rows], "the result")
    kind = np.dtype(np.uint16 if forest.lineage_id.max(initial=0) < 2**16 else np.uint32)
    return LazyFilm((length(labels), *np.shape(labels[0])), kind, lambda t: renumbered[t])


def layers_of(forest: Forest, film: Film | None = None, labels: Film | None = None, *, name: str = "") -> list[LayerData]:
    """The layers that show a result: the film, the masks coloured by lineage, and the tracks.

    Pixels are scaled, so that all layers lie in the physical units of the forest's positions.

    Args:
        forest: The lineages.
        film: The images, (T, [Z,] Y, X).
        labels: The label film that the detections were measured from; it is only read.
        name: Put before the layers' names.

    Returns:
        Tuples of data, keyword arguments and kind of layer, the lowest first.

    Raises:
        ValueError: Film or labels do not fit the forest.
    """
    scale = (1.0, *forest.detections.scale)
    before = f"{name} " if name else ""
    layers: list[LayerData] = []
    for what, given in (("film", film), ("label film", labels)):
        if given is not None:
            _check(forest, given, what)
    if film is not None:
        layers.append((lazy(film), {"name": f"{before}film", "scale": scale, "colormap": "gray"}, "image"))
    if labels is not None:
        layers.append((lineage_film(forest, labels), {"name": f"{before}cells by lineage", "scale": scale, "opacity": 0.5}, "labels"))
    if forest.selected.any():
        layers.append(tracks_layer(forest, name=f"{before}tracks"))
    return layers


def tracks_layer(forest: Forest, *, name: str = "tracks") -> LayerData:
    """The tracks of a forest with their divisions, coloured by lineage."""
    data, graph, properties = forest.to_napari()
    finite = {key: column for key, column in properties.items() if column.dtype.kind != "f" or np.isfinite(column).all()}
    facts = {"name": name, "graph": graph, "properties": finite, "color_by": "lineage_id", "tail_length": 10, "head_length": 0}
    return data, facts, "tracks"


def _check(forest: Forest, film: Film, what: str) -> None:
    cells, frames = forest.detections, length(film)
    axes = np.ndim(film[0]) if frames else cells.n_axes
    if not frames or (len(cells) and frames <= cells.frame[-1]):
        raise ValueError(f"the {what} has {frames} frames, but there are cells in frame {cells.frame.max(initial=0)}")
    if axes != cells.n_axes:
        raise ValueError(f"frames of the {what} have {axes} axes, but the cells have the axes {', '.join(cells.axes)}")
