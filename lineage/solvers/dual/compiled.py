"""Compiled functions: numba's compiler with our settings, and types that mypy can follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """A function compiled to machine code at its first call; the result is cached on disk, so that this happens once."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
