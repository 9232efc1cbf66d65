"""EdgeNetwork: a transformer over the cells around each cell, and a score for every candidate link (needs torch).

Every cell looks at its nearest neighbours in its own frame and in the two before and after. How much it attends to each depends on both
and on their lateness and distance; what it takes from them is a vector of numbers, which does not change when the film is turned, and
a few arrows towards them, which turn with it. A link is scored from its two cells, from its own facts, and from the products of the
arrows with each other and with the step. So turned and mirrored films have the same scores, exactly, in 2D and in 3D, and
every cell costs the same.

The score of a link is its log-odds against the target having no parent; softmax over the candidate parents of a cell and none gives
probabilities (parent-wise normalisation, Gallusser and Weigert, "Trackastra: Transformer-based cell tracking for live-cell microscopy",
ECCV 2024; arrows as in Schuett et al., "Equivariant message passing for the prediction of tensorial properties", ICML 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .facts import CELL, LINK, REACH, Facts

_RINGS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5)  # distances, in cell diameters, that a neighbour is told apart by
_PAIR = len(_RINGS) + 2 * REACH + 1 + 2
_AT_ONCE = 512  # cells (links: 16 times as many) computed at a time when nothing is learned: little memory, and what fits in a cache


@dataclass(frozen=True)
class NetworkConfig:
    """The size of a network.

    Attributes:
        width: Numbers that are known of a cell.
        heads: Ways to attend.
        layers: Rounds of looking around; each reaches two frames further. With none only the facts of a link count.
        arrows: Arrows a head makes.
    """

    width: int = 64
    heads: int = 4
    layers: int = 2
    arrows: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (("width", 1, 256), ("heads", 1, 64), ("layers", 0, 8), ("arrows", 1, 16)):
            if not isinstance(size := getattr(self, name), int) or not low <= size <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}, not {size!r}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, {self.heads}, not {self.width}")


@dataclass(frozen=True, eq=False)
class Batch:
    """Facts as tensors; n cells with k neighbours, m links, d axes."""

    cell: Tensor
    near: Tensor
    late: Tensor
    away: Tensor
    source: Tensor
    target: Tensor
    link: Tensor
    step: Tensor

    @classmethod
    def of(cls, facts: Facts) -> Batch:
        """The facts of a film as 32-bit tensors."""
        return cls(**{name: _tensor(getattr(facts, name)) for name in cls.__dataclass_fields__})


class EdgeNetwork(nn.Module):
    """Facts -> score of every link; see the head of this module."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, arrows = config.width, config.heads * config.arrows
        self.cell = nn.Sequential(nn.Linear(CELL, width), nn.GELU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(_Look(config) for _ in range(config.layers))
        self.source, self.target = nn.Linear(width, width), nn.Linear(width, width)
        self.link = nn.Sequential(nn.Linear(LINK + 3 * arrows, width), nn.GELU(), nn.Linear(width, width))
        self.judge = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.orphan = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, batch: Batch) -> Tensor:
        """Log-odds of every link against its target having no parent; (m,)."""
        state = self.cell(batch.cell)  # (n, w)
        arrows = batch.away.new_zeros(len(state), self.config.heads * self.config.arrows, batch.away.shape[-1])  # (n, a, d)
        for layer in self.layers:
            state, arrows = layer(state, arrows, batch)
        source, target, orphan = self.source(state), self.target(state), self.orphan(state)[:, 0]
        scores = []
        for some in _slices(len(batch.source), 16 * _AT_ONCE):
            i, j, step = batch.source[some], batch.target[some], batch.step[some, None]
            turns = [(arrows[i] * step).sum(-1), (arrows[j] * step).sum(-1), (arrows[i] * arrows[j]).sum(-1)]  # (m, a) each
            known = self.link(torch.cat([batch.link[some], *map(_tamed, turns)], dim=1))
            scores.append(self.judge(source[i] + target[j] + known)[:, 0] - orphan[j])
        return torch.cat(scores) if scores else orphan.new_zeros(0)


class _Look(nn.Module):
    """One round of looking around: attention to the neighbours in space and time."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, heads, arrows = config.width, config.heads, config.heads * config.arrows
        self.heads, self.arrows = heads, config.arrows
        self.norm, self.think_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.show = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.where = nn.Linear(_PAIR, heads + width + arrows)  # how much to attend, what to take, and how long an arrow
        self.take = nn.Linear(width + 2 * arrows, width)
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, state: Tensor, arrows: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """State and arrows of every cell after a look around; (n, w), (n, a, d)."""
        calm = self.norm(state)
        ask, (key, value) = self.ask(calm), self.show(calm).chunk(2, dim=1)
        seen = [self._seen(some, (ask, key, value), batch) for some in _slices(len(state), _AT_ONCE)]
        taken, pointed = (torch.cat(parts) for parts in zip(*seen, strict=True)) if seen else (value, arrows)
        lengths = [(pointed**2).sum(-1), (pointed * arrows).sum(-1)]
        arrows = arrows + pointed
        state = state + self.take(torch.cat([taken, *map(_tamed, lengths)], dim=1))
        return state + self.think(self.think_norm(state)), arrows

    def _seen(self, some: slice, shown: tuple[Tensor, Tensor, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """What some of the cells take from their neighbours: numbers (c, w) and arrows (c, a, d)."""
        ask, key, value = shown
        near, away = batch.near[some], batch.away[some]  # (c, k), (c, k, d)
        c, k = near.shape
        known = near >= 0
        row = near.clamp(min=0)
        bias, gate, length = self.where(_pair_facts(batch, some, row)).split([self.heads, value.shape[1], self.heads * self.arrows], -1)
        parts = value.shape[1] // self.heads
        match = (ask[some, None] * key[row]).view(c, k, self.heads, parts).sum(-1) / parts**0.5 + bias
        attention = match.masked_fill(~known[..., None], -torch.inf).softmax(dim=1)  # (c, k, h); itself is always known
        taken = (attention[..., None] * (value[row] * (1 + gate)).view(c, k, self.heads, parts)).sum(1).flatten(1)
        length = (attention[..., None] * length.view(c, k, self.heads, self.arrows)).flatten(2)  # (c, k, a)
        return taken, torch.einsum("cka,ckd->cad", length, away)


def _pair_facts(batch: Batch, some: slice, row: Tensor) -> Tensor:
    """What is known of each cell and neighbour: lateness, distance as a row of bumps, and how their sizes differ; (c, k, _PAIR)."""
    length = batch.away[some].square().sum(-1, keepdim=True).add(1e-12).sqrt()
    rings = length.new_tensor(_RINGS)
    bumps = torch.exp(-(((length - rings) / (0.15 + 0.3 * rings)) ** 2))
    late = functional.one_hot(batch.late[some] + REACH, 2 * REACH + 1).to(length.dtype)
    growth = (batch.cell[row][..., :1] - batch.cell[some, None, :1]).clamp(-3, 3)
    return torch.cat([late, bumps, torch.log(length + 0.1), growth], dim=-1)


def _tamed(product: Tensor) -> Tensor:
    """Products of lengths, their large values drawn together."""
    return torch.sign(product) * torch.log1p(product.abs())


def _slices(count: int, most: int) -> list[slice]:
    """Slices of at most so many rows; all rows at once while something is learned, as memory is needed for all of them anyway."""
    most = max(count, 1) if torch.is_grad_enabled() else most
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]


def _tensor(array: Any) -> Tensor:  # noqa: ANN401 - NumPy's arrays
    kind = np.int64 if np.asarray(array).dtype.kind == "i" else np.float32
    return torch.from_numpy(np.ascontiguousarray(array, kind))
