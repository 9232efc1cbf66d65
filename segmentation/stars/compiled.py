"""Compiled functions: numba's compiler with our settings, and types that mypy can follow."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

OPTIONS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """A function compiled to machine code at its first call; the result is cached on disk, so that this happens once."""
    return cast(F, numba.njit(**OPTIONS)(function))


def inner(function: F) -> F:
    """A function that only compiled functions call: without a door to Python it is compiled in half the time."""
    return cast(F, numba.njit(**{**OPTIONS, "no_cpython_wrapper": True})(function))
