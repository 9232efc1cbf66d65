"""A network that says what to add to a picture, with the scale of grey levels it was taught in (needs torch)."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segmentation.arrays import AnyArray, FloatArray
from segmentation.checkpoints import fill, model_format, one_line, read_model, write_model
from segmentation.fit import Progress, Schedule, fit, silent
from segmentation.tiles import TILE, predict
from segmentation.unet import UNet, UNetConfig

SCHEDULE = Schedule(steps=600, rate=1e-3, average=0.98, decay=1e-4)
ENOUGH = 1 << 20  # pixels from which the range of grey levels is taken


@dataclass(frozen=True)
class Range:
    """Grey levels that become 0 and 1 for a network.

    Args:
        dark: becomes 0.
        span: grey levels from 0 to 1; positive.
    """

    dark: float
    span: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.dark, self.span]).all() and self.span > 0):
            raise ValueError(f"the range of grey levels has a start of {self.dark} and a span of {self.span}: the span must be positive")

    @classmethod
    def of(cls, pictures: AnyArray) -> "Range":
        """From the first to the 99.8th percentile.

        Args:
            pictures: any shape.
        """
        flat = np.ravel(pictures)
        low, high = np.percentile(flat[:: max(1, flat.size // ENOUGH)].astype(float), [1, 99.8])
        return cls(float(low), float(high - low) or float(np.ptp(flat)) or 1.0)


@dataclass(frozen=True, eq=False)
class Corrector:
    """Says what to add to a picture; the picture itself it need not learn.

    Args:
        network: normalised pictures -> normalised correction.
        range: of grey levels.
        about: what to remember of the training (JSON-able).
        device: "auto", "cpu" or "cuda".
    """

    network: UNet
    range: Range
    about: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"

    @classmethod
    def learn(  # noqa: PLR0913 (keyword-only)
        cls,
        batches: Iterator[tuple[FloatArray, FloatArray]],
        config: UNetConfig,
        span: Range,
        *,
        schedule: Schedule = SCHEDULE,
        seed: int = 0,
        about: Mapping[str, Any] | None = None,
        device: str = "auto",
        progress: Progress = silent,
    ) -> "Corrector":
        """Teach a new network, which begins by correcting nothing.

        Args:
            batches: endless pictures (n, C, Y, X) and corrections wanted (n, K, Y, X), both in units of the range's span.
            config: shape of the network.
            span: of grey levels.
            schedule: how long and how fast.
            seed: of the first weights.
            about: what to remember.
            device: "auto", "cpu" or "cuda".
            progress: draws a bar.
        """
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = UNet(config)
        with torch.no_grad():
            for tensor in network.head.parameters():
                tensor.zero_()
        fit(network, batches, _absolute, schedule, device=device, progress=progress)
        return cls(network, span, dict(about or {}), device)

    def __call__(self, pictures: AnyArray, *, tile: int | None = TILE) -> FloatArray:
        """What to add.

        Args:
            pictures: grey levels (C, Y, X).
            tile: largest side of a tile, pixels; the answer does not depend on it. None: one piece.

        Returns:
            float32 grey levels (K, Y, X).
        """
        shown = ((np.asarray(pictures, np.float64) - self.range.dark) / self.range.span).astype(np.float32)
        return predict(self.network, shown, tile=tile, device=self.device) * np.float32(self.range.span)

    def save(self, path: str | Path, kind: str, facts: Mapping[str, Any]) -> None:
        """Write one safetensors file: the tensors, and everything else as JSON in its metadata.

        Args:
            path: file to write; it appears only when complete.
            kind: what the network is for.
            facts: what else must be known to use it (JSON-able).
        """
        described = {"network": asdict(self.network.config), "range": asdict(self.range), "about": dict(self.about), "facts": dict(facts)}
        write_model(path, self.network, {"format": model_format(kind), **described})

    @classmethod
    def load(cls, path: str | Path, kind: str, *, device: str = "auto") -> tuple["Corrector", dict[str, Any]]:
        """Read what `save` wrote; tensors and JSON only, no code is run.

        Args:
            path: a safetensors file of this program.
            kind: what the network must be for.
            device: "auto", "cpu" or "cuda".

        Returns:
            The corrector and the facts.
        """
        described, tensors = read_model(path, kind, "save")
        try:
            network, span = UNet(UNetConfig(**described["network"])), Range(**described["range"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no cytolineage {kind}: {one_line(error)}") from None
        fill(network, tensors, str(path))
        network.eval()
        return cls(network, span, described.get("about", {}), device), described.get("facts", {})


def _absolute(answers: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.l1_loss(answers, wanted)
