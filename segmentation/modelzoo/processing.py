"""The steps before and after a network, as model packages name them, on NumPy arrays.

Ids and parameters: bioimage.io model description 0.5. All statistics are those of one whole picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from segmentation.arrays import AnyArray, FloatArray
from segmentation.normalise import check_finite

Said = Mapping[str, Any]
_PER_CHANNEL = ("threshold", "mean", "std", "gain", "offset")
DTYPES = ("float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool")


@dataclass(frozen=True)
class Step:
    """One step of a package: its id and its parameters.

    Args:
        name: the id, such as "scale_range".
        values: its parameters, as the package gives them.
    """

    name: str
    values: Said = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.name not in _DOES:
            raise ValueError(f"step {self.name!r} is not known here: known are {', '.join(sorted(_DOES))}")
        allowed = _TAKES[self.name]
        if wrong := sorted(set(self.values) - set(allowed)):
            raise ValueError(f"step {self.name} has the parameter {wrong[0]!r}: known are {', '.join(allowed) or 'none'}")


@dataclass(frozen=True)
class Steps:
    """Steps one after the other; can stand as the normalisation of a segmenter.

    Args:
        steps: in order.
        axes: ids of the axes of the arrays, such as ("channel", "y", "x").
    """

    steps: tuple[Step, ...]
    axes: tuple[str, ...]

    def __call__(self, image: AnyArray) -> FloatArray:
        """Apply all steps to one channel of a picture.

        Args:
            image: ([Z,] Y, X), any real dtype, finite.

        Returns:
            float32, same shape.
        """
        image = np.asarray(image)
        check_finite(image)
        values = image[None]
        return np.asarray(self.apply(values, values)[0] if image.size else image, np.float32)

    @property
    def joining(self) -> tuple[str, ...]:
        """Names of the steps that do not treat every channel alike and for itself."""
        over = {"scale_range", "zero_mean_unit_variance", "scale_mean_variance"}
        found = []
        for step in self.steps:
            percentiles = step.name == "clip" and any(step.values.get(f"{end}_percentile") is not None for end in ("min", "max"))
            axes = step.values.get("axes")
            joint = (step.name in over or percentiles) and (axes is None or "channel" in axes)
            several = any(isinstance(step.values.get(name), list) and len(step.values[name]) > 1 for name in _PER_CHANNEL)
            if joint or several or step.name == "softmax":
                found.append(step.name)
        return tuple(found)

    def apply(self, values: AnyArray, reference: AnyArray) -> AnyArray:
        """Apply all steps, some of which look at another picture.

        Args:
            values: picture or answers, with all axes.
            reference: the unprocessed input, with all axes.

        Returns:
            same shape as `values`.
        """
        if values.ndim != len(self.axes):
            raise ValueError(f"array has shape {values.shape}: these steps want the axes {', '.join(self.axes)}")
        for step in self.steps:
            values = _DOES[step.name](values, step.values, self.axes, reference)
        return values


def _along(values: AnyArray, numbers: Any, said: Said, axes: Sequence[str]) -> AnyArray:  # noqa: ANN401 - a number or several
    """Numbers that belong to the places of one axis, shaped so that they meet it."""
    column = np.asarray(numbers, np.float64)
    if column.ndim == 0 or column.size == 1:
        return column.reshape(())
    where = list(axes).index(str(said.get("axis", "channel"))) if str(said.get("axis", "channel")) in axes else None
    if where is None or values.shape[where] != column.size:
        raise ValueError(f"step has {column.size} numbers along the axis {said.get('axis')!r} of an array of shape {values.shape}")
    return column.reshape([-1 if axis == where else 1 for axis in range(values.ndim)])


def _reduced(said: Said, axes: Sequence[str]) -> tuple[int, ...]:
    """Numbers of the axes over which statistics are taken; all where nothing is said."""
    named = said.get("axes")
    if named is None:
        return tuple(range(len(axes)))
    if unknown := [str(name) for name in named if name != "batch" and name not in axes]:
        raise ValueError(f"step names the axis {unknown[0]!r}: the array has {', '.join(axes)}")
    return tuple(list(axes).index(name) for name in named if name != "batch")


def _percentiles(values: AnyArray, said: Said, names: tuple[str, str], where: tuple[int, ...], *, method: Any) -> list[AnyArray]:  # noqa: ANN401
    wanted = [float(said.get(name, default)) for name, default in zip(names, (0.0, 100.0), strict=True)]
    if not 0 <= wanted[0] < wanted[1] <= 100:
        raise ValueError(f"step has the percentiles {wanted[0]:g} and {wanted[1]:g}: give 0 <= low < high <= 100")
    return list(np.percentile(np.asarray(values, np.float64), wanted, axis=where, keepdims=True, method=method))


def _binarize(values: AnyArray, said: Said, axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    return np.asarray(values > _along(values, said["threshold"], said, axes))


def _clip(values: AnyArray, said: Said, axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    low, high = said.get("min"), said.get("max")
    if said.get("min_percentile") is not None or said.get("max_percentile") is not None:
        given = {key: value for key, value in said.items() if value is not None}
        names = ("min_percentile", "max_percentile")
        bounds = _percentiles(values, given, names, _reduced(said, axes), method="inverted_cdf")
        low = bounds[0] if "min_percentile" in given else low
        high = bounds[1] if "max_percentile" in given else high
    return np.asarray(np.clip(values, low, high))


def _ensure_dtype(values: AnyArray, said: Said, _axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    if said["dtype"] not in DTYPES:
        raise ValueError(f"step ensure_dtype has the dtype {said['dtype']!r}: known are {', '.join(DTYPES)}")
    return values.astype(said["dtype"])


def _fixed(values: AnyArray, said: Said, axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    mean, spread = (_along(values, said[name], said, axes) for name in ("mean", "std"))
    if (spread <= 0).any():
        raise ValueError(f"step fixed_zero_mean_unit_variance has the std {spread.min()}: give positive numbers")
    return np.asarray((values - mean) / spread)


def _scale_linear(values: AnyArray, said: Said, axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    gain, offset = (_along(values, said.get(name, default), said, axes) for name, default in (("gain", 1.0), ("offset", 0.0)))
    return np.asarray(values * gain + offset)


def _scale_range(values: AnyArray, said: Said, axes: Sequence[str], reference: AnyArray) -> AnyArray:
    seen = values if said.get("reference_tensor") is None else reference
    bottom, top = _percentiles(seen, said, ("min_percentile", "max_percentile"), _reduced(said, axes), method="linear")
    return np.asarray((values - bottom) / (top - bottom + said.get("eps", 1e-6)))


def _sigmoid(values: AnyArray, _said: Said, _axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    return np.asarray(expit(values))


def _softmax(values: AnyArray, said: Said, axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    return np.asarray(softmax(values, axis=_reduced({"axes": [said.get("axis", "channel")]}, axes)))


def _standardise(values: AnyArray, said: Said, axes: Sequence[str], _reference: AnyArray) -> AnyArray:
    mean, spread = _moments(values, _reduced(said, axes))
    return np.asarray((values - mean) / (spread + said.get("eps", 1e-6)))


def _scale_mean_variance(values: AnyArray, said: Said, axes: Sequence[str], reference: AnyArray) -> AnyArray:
    where, eps = _reduced(said, axes), said.get("eps", 1e-6)
    (mean, spread), (mean_wanted, spread_wanted) = _moments(values, where), _moments(reference, where)
    return np.asarray((values - mean) / (spread + eps) * (spread_wanted + eps) + mean_wanted)


def _moments(values: AnyArray, where: tuple[int, ...]) -> tuple[AnyArray, AnyArray]:
    exact = np.asarray(values, np.float64)
    return exact.mean(axis=where, keepdims=True), exact.std(axis=where, keepdims=True)


_DOES: Mapping[str, Callable[[AnyArray, Said, Sequence[str], AnyArray], AnyArray]] = {
    "binarize": _binarize,
    "clip": _clip,
    "ensure_dtype": _ensure_dtype,
    "fixed_zero_mean_unit_variance": _fixed,
    "scale_linear": _scale_linear,
    "scale_range": _scale_range,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "zero_mean_unit_variance": _standardise,
    "scale_mean_variance": _scale_mean_variance,
}
_TAKES: Mapping[str, tuple[str, ...]] = {
    "binarize": ("threshold", "axis"),
    "clip": ("min", "max", "min_percentile", "max_percentile", "axes"),
    "ensure_dtype": ("dtype",),
    "fixed_zero_mean_unit_variance": ("mean", "std", "axis"),
    "scale_linear": ("gain", "offset", "axis"),
    "scale_range": ("axes", "min_percentile", "max_percentile", "eps", "reference_tensor"),
    "sigmoid": (),
    "softmax": ("axis",),
    "zero_mean_unit_variance": ("axes", "eps"),
    "scale_mean_variance": ("reference_tensor", "axes", "eps"),
}
