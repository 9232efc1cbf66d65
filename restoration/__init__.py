"""From noisy films to films that can be segmented and tracked."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .axial import isotropic as isotropic
    from .care import Care as Care
    from .denoiser import Denoiser as Denoiser
    from .denoiser import load as load
    from .diagnosing import diagnose as diagnose
    from .ensemble import Ensemble as Ensemble
    from .noise2noise import Noise2Noise as Noise2Noise
    from .noise2void import Noise2Void as Noise2Void
    from .quality import nrmse as nrmse
    from .quality import psnr as psnr
    from .quality import si_psnr as si_psnr
    from .quality import ssim as ssim
    from .resolution import upsample as upsample

_HOME = {  # each public name and the module that is loaded when it is first asked for: the doorstep stays light
    "Care": "care",
    "Denoiser": "denoiser",
    "Ensemble": "ensemble",
    "Noise2Noise": "noise2noise",
    "Noise2Void": "noise2void",
    "diagnose": "diagnosing",
    "isotropic": "axial",
    "load": "denoiser",
    "nrmse": "quality",
    "psnr": "quality",
    "si_psnr": "quality",
    "ssim": "quality",
    "upsample": "resolution",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    """Load a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'restoration' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]
