"""EdgeModel: a learned score of candidate links, calibrated to nats; weights on disk and those that are shipped (needs torch)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lineage.arrays import FloatArray
from lineage.films.atomic import new_file
from lineage.graph import CandidateGraph

from .calibration import Calibration
from .facts import CELL, LATE, LINK, facts
from .network import Batch, EdgeNetwork, NetworkConfig

WEIGHTS = Path(__file__).parent / "weights"
AUTO = "auto"
_NOTES, _FORMAT = "cytolineage", "cytolineage.edges/1"


class Logistic(nn.Module):
    """The light classifier: a score that is linear in the facts of a link, less one that is linear in those of its target."""

    config = None

    def __init__(self) -> None:
        super().__init__()
        self.link, self.orphan = nn.Linear(LINK, 1), nn.Linear(CELL, 1)
        for part in (self.link, self.orphan):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Log-odds of every link against its target having no parent; (m,)."""
        return self.link(batch.link)[:, 0] - self.orphan(batch.cell)[batch.target, 0]


@dataclass(frozen=True, eq=False)
class EdgeModel:
    """A network that scores candidate links, and what turns its scores into nats.

    Attributes:
        network: Facts -> log-odds of links.
        calibration: Temperature and bias, from films that the network has not learned from.
        about: Where it comes from, JSON-able.
    """

    network: EdgeNetwork | Logistic
    calibration: Calibration = field(default_factory=Calibration)
    about: dict[str, Any] = field(default_factory=dict)

    def scores(self, graph: CandidateGraph) -> FloatArray:
        """Cost of every candidate link, nats: minus its log-odds against the target having no parent; (m,).

        Links over so many frames that none was learned from are no parents to it: they cost 0, as having none does. It is worked out
        on one thread: sums are then taken in one order, and give the same bits on every machine and worker.

        Args:
            graph: Candidate links as ``lineage.linking.candidate_graph`` makes them.
        """
        cost, near = np.zeros(len(graph)), np.flatnonzero(graph.dt <= LATE)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            cost[near] = -self.calibration(self.raw(Batch.of(facts(graph.keep(near)))))
            return cost
        finally:
            torch.set_num_threads(threads)

    def raw(self, batch: Batch) -> FloatArray:
        """What the network says before calibration; (m,)."""
        self.network.eval()
        with torch.no_grad():
            return self.network(batch).double().numpy()

    def calibrated(self, calibration: Calibration) -> Self:
        """The same network with other temperature and bias."""
        return replace(self, calibration=calibration)

    def save(self, path: str | Path) -> None:
        """Write the model as one safetensors file, tensors and JSON only; it appears when it is complete.

        Raises:
            ValueError: The name does not end in ``.safetensors``.
        """
        if Path(path).suffix != ".safetensors":
            raise ValueError(f"{path} cannot be written: give a name that ends in .safetensors")
        config = None if self.network.config is None else asdict(self.network.config)
        notes = {"format": _FORMAT, "network": config, "calibration": asdict(self.calibration), "about": self.about}
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        content = save(tensors, metadata={_NOTES: json.dumps(notes)})
        with new_file(path) as place:
            place.write_bytes(content)

    @classmethod
    def load(cls, path: str | Path) -> EdgeModel:
        """Read what ``save`` wrote; no code in it is run.

        Raises:
            FileNotFoundError: No such file.
            ValueError: No file of this kind, a damaged one, or one of another network; the message says which tensor.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}: give weights that lineage train edges wrote")
        try:
            with safe_open(path, "pt") as file:
                text = (file.metadata() or {}).get(_NOTES, "{}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            notes = json.loads(text)
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as safetensors: {' '.join(str(error).split())[:160]}") from None
        if not isinstance(notes, dict) or notes.get("format") != _FORMAT:
            found = notes.get("format") if isinstance(notes, dict) else None
            raise ValueError(f"{path} holds no scores of links: its format is {found!r}, wanted {_FORMAT!r}")
        about = notes.get("about")
        network = _filled(_network(notes, path), tensors, path)
        return cls(network, _calibration(notes, path), about if isinstance(about, dict) else {})


def load(name: str | Path, n_axes: int = 2) -> EdgeModel:
    """The model of a name such as ``edges-2d``, of a file, or with ``auto`` the shipped one for films of so many axes.

    Raises:
        ValueError: Nothing of that name is shipped, and it is no file.
    """
    wanted = f"edges-{n_axes}d" if str(name) == AUTO else str(name)
    shipped = {path.stem: path for path in WEIGHTS.glob("*.safetensors")}
    if wanted in shipped:
        return EdgeModel.load(shipped[wanted])
    if not Path(wanted).is_file():
        raise ValueError(
            f"there are no learned scores named {wanted}: give a weights file, or one of {', '.join(sorted(shipped)) or 'none'}"
        )
    return EdgeModel.load(wanted)


def learned_costs(graph: CandidateGraph, name: str | Path) -> FloatArray:
    """What a model, given by name or file, says of the links of a film, nats; see ``EdgeModel.scores``; (m,).

    Raises:
        ValueError: The model is for films of another number of axes.
    """
    n_axes = graph.detections.n_axes
    if str(name) in ("edges-2d", "edges-3d") and not str(name).endswith(f"{n_axes}d"):
        raise ValueError(f"{name} does not know {n_axes}D films: take edges-{n_axes}d, or auto")
    model = load(name, n_axes)
    if model.about.get("axes", n_axes) != n_axes:
        raise ValueError(
            f"{name} has learned from {model.about['axes']}D films and does not know {n_axes}D ones: train weights on such films"
        )
    return model.scores(graph)


def _network(notes: dict[str, Any], path: Path) -> EdgeNetwork | Logistic:
    """An empty network of the size that a file says."""
    config = notes.get("network")
    if config is None:
        return Logistic()
    try:
        return EdgeNetwork(NetworkConfig(**config))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _calibration(notes: dict[str, Any], path: Path) -> Calibration:
    found = notes.get("calibration")
    try:
        own = Calibration(**found)  # type: ignore[arg-type]
        if not (math.isfinite(own.temperature) and own.temperature > 0 and math.isfinite(own.bias)):
            raise TypeError
    except TypeError:
        raise ValueError(f"{path} is damaged: its calibration is {found}") from None
    return own


def _filled(network: EdgeNetwork | Logistic, tensors: dict[str, Tensor], path: Path) -> EdgeNetwork | Logistic:
    """The network with these weights, or a ValueError that names the first that does not fit."""
    own = network.state_dict()
    for name in sorted({*own, *tensors}):
        has, wanted = (tuple(group[name].shape) if name in group else None for group in (tensors, own))
        if has != wanted:
            raise ValueError(f"{path} belongs to another network: its tensor {name} has shape {has}, wanted {wanted}")
        if not bool(torch.isfinite(tensors[name]).all()):
            raise ValueError(f"{path} is damaged: its tensor {name} has NaN or infinite numbers")
    network.load_state_dict(tensors)
    return network
