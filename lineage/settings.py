"""Settings: what a user may decide, frozen; TOML in and out."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import Field, asdict, dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

USUAL_GAP, LONGEST_GAP = 4, 7  # missed frames that are linked over; the longer ones where the film speaks for it
SCORES = ("distance", "overlap", "size", "intensity", "shape", "mothers")


@dataclass(frozen=True)
class Weights:
    """How much each kind of evidence counts; ones are what the film's own model says.

    Costs are log-likelihood ratios, so a weight of 1 is right when the model is, and evidences do not repeat each other. ``lineage.fit``
    learns weights from confirmed and rejected links.

    Attributes:
        distance: Of displacements.
        overlap: Of overlaps.
        size: Of changes of size.
        intensity, shape: Of changes of brightness and of shape, for what they say beyond the size.
        gap: Of missed frames.
        sisters: Of where daughters lie and how large they are.
        mothers: Of whether a cell looks as if it were to divide.
        appear, disappear: Of lineages that begin and end inside the film.
        divide: Of the rate of divisions.
        link: Not a weight but nats that are added to the cost of every link.
    """

    distance: float = 1.0
    overlap: float = 1.0
    size: float = 1.0
    intensity: float = 1.0
    shape: float = 1.0
    gap: float = 1.0
    sisters: float = 1.0
    mothers: float = 1.0
    appear: float = 1.0
    disappear: float = 1.0
    divide: float = 1.0
    link: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, any_sign = getattr(self, field.name), field.name == "link"
            number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
            if not number or (value < 0 and not any_sign):
                raise ValueError(f"weight {field.name} must be a finite number{'' if any_sign else ' of at least 0'}, not {value!r}")
            object.__setattr__(self, field.name, float(value))

    @classmethod
    def of(cls, table: object) -> Self:
        """Weights from a table of names and numbers; what it leaves out stays at the default.

        Raises:
            ValueError: It is no table, or names a weight that is not there.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(table, dict):
            raise ValueError(f"weights must be a table of names and numbers, not {table!r}")
        if unknown := sorted(set(table) - set(names)):
            raise ValueError(f"no such weight: {', '.join(unknown)}; there are {', '.join(names)}")
        return cls(**table)


@dataclass(frozen=True)
class Settings:
    """Everything that can be set for linking a film; the defaults are meant to be left alone.

    Attributes:
        neighbours: How many nearest detections of the next frame each detection may be linked to (and of the frame before).
        radius: Farthest displacement between consecutive frames, physical units; from the film when not given.
        max_gap: Most frames in a row that a cell may be missed and still be linked. When not given 4, and where the film shows that
            cells are often missed for longer, up to 7 by masks that overlap.
        scores: Evidence used: ``distance`` always, ``overlap`` where labels are given, ``size`` where areas are known; ``intensity``
            and ``shape`` of cells, and the looks of ``mothers``, where they are measured and the film shows that they tell something.
        motion: Whether drift, growth and jumps of the whole field are looked for, and cells expected where they and their neighbours
            head; each is used only where the film speaks for it.
        divisions: Whether cells may divide.
        min_cycle: Fewest frames between two divisions, from the last frame of the mother to that of the cell; no limit when not given.
        merges: Whether a mask may hold two cells that touch for some frames; their lineages go on through it (needs areas).
        appear, disappear, divide, detection: Costs in nats in place of the film's own. Without ``detection`` every detection is believed,
            unless many belong to nobody (see ``false_share``); with it those that cost more than they save are dropped, with
            minus infinity none.
        miss: Probability that a cell is missed in a frame, in place of the film's own.
        rounds: How often the costs are estimated from a solution and the film is solved again.
        solver: ``auto``, ``highs``, ``dual``, ``pulp``, ``pulp:NAME`` or ``greedy``.
        gap: Relative gap between objective and bound that is good enough.
        time_limit: Seconds a solver may take, each time.
        threads: Threads a solver may use; 0 leaves it to the solver.
        seed: Of everything that draws lots.
        window: Frames solved at a time, for films that do not fit in memory whole; all when not given.
        overlap: How many frames a window looks ahead; more than ``max_gap``, and no more than ``window``.
        segment: How ``track`` segments: the name of shipped weights, a weights file, ``classical``, or ``auto``: ``nuclei-2d``
            for 2D films, for 3D ones ``nuclei-3d`` where it is shipped and else ``classical``.
        hypotheses: Whether ``track`` lets the solver choose among several segmentations where there is doubt. When not given it does where
            it segments with a network that knows how probable its segments are, as the shipped ones do: not with masks that are
            given, ``merges``, or frames of more than 16 million pixels.
        edges: Learned scores of links that count beside the film's own model: the name of shipped weights, a weights file, or ``always``
            for ``edges-2d`` or ``edges-3d``; with ``auto`` the film decides: ``edges-2d`` on masks in 2D whose links they explain
            better than the film's own model does; none when empty.
        edges_weight: How much they count, from 0 (the film's own model alone) to 1 (the learned scores alone).
        denoise: How ``track`` denoises the film before it segments and measures: the name of shipped weights or a weights file; not at
            all when empty.
        channel: Which channel of the film to look at, from 0, where it has several.
        axes: One letter for each axis of the film (T, C, Z, Y, X), where its file does not say it or says it wrongly.
        holes: Whether ``track`` takes what is missing of a film in Zarr for blank, where nobody can tell that from what was lost.
    """

    neighbours: int = 8
    radius: float | None = None
    max_gap: int | None = None
    scores: tuple[str, ...] = SCORES
    motion: bool = True
    divisions: bool = True
    min_cycle: int | None = None
    merges: bool = False
    appear: float | None = None
    disappear: float | None = None
    divide: float | None = None
    detection: float | None = None
    miss: float | None = None
    rounds: int = 3
    solver: str = "auto"
    gap: float = 1e-4
    time_limit: float = math.inf
    threads: int = 0
    seed: int = 0
    window: int | None = None
    overlap: int = 8
    segment: str = "auto"
    hypotheses: bool | None = None
    denoise: str = ""
    channel: int | None = None
    axes: str = ""
    holes: bool = False
    edges: str = "auto"
    edges_weight: float = 0.3
    weights: Weights = Weights()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(self.scores))
        if unknown := sorted({str(score) for score in self.scores if score not in SCORES}):
            raise ValueError(f"no such score: {', '.join(unknown)}; there are {', '.join(SCORES)}")
        if "distance" not in self.scores:
            raise ValueError(f"scores must include distance, but are {', '.join(self.scores) or 'none'}")
        for name in ("neighbours", "max_gap", "rounds", "threads", "seed", "overlap", "channel"):
            if (value := getattr(self, name)) is not None and not isinstance(value, Integral):
                raise ValueError(f"{name} must be a whole number, not {value!r}")
        if not isinstance(self.weights, Weights):
            raise ValueError(f"weights must be lineage.settings.Weights(...), not {self.weights!r}")
        for name, least in (("neighbours", 1), ("max_gap", 0), ("rounds", 0), ("threads", 0), ("gap", 0), ("overlap", 1)):
            if (value := getattr(self, name)) is not None and not value >= least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        for name in ("window", "min_cycle"):
            if (value := getattr(self, name)) is not None and not isinstance(value, Integral):
                raise ValueError(f"{name} must be a whole number of frames, not {value}")
        if self.min_cycle is not None and self.min_cycle < 1:
            raise ValueError(f"min_cycle must be at least 1 frame, not {self.min_cycle}")
        if self.merges and self.hypotheses:
            raise ValueError("merges are for one segmentation, but hypotheses are several: leave one of the two out")
        if self.window is not None and not self.usual_gap < self.overlap <= self.window:
            raise ValueError(f"overlap must be more than max_gap, {self.usual_gap}, and at most window, {self.window}, not {self.overlap}")
        for name in ("radius", "time_limit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        for name in ("appear", "disappear", "divide", "detection"):
            value = getattr(self, name)
            if value is not None and (math.isnan(value) or (value == -math.inf and name != "detection")):
                raise ValueError(f"{name} is a cost in nats, not {value}")
        if not 0 <= self.edges_weight <= 1:
            raise ValueError(f"edges_weight must be from 0 to 1, not {self.edges_weight}")
        if self.miss is not None and not 0 < self.miss < 1:
            raise ValueError(f"miss is a probability between 0 and 1, not {self.miss}")

    @property
    def reading(self) -> dict[str, Any]:
        """How the film is to be read: what ``lineage.films.open_film`` is told of it."""
        return {"channel": self.channel, "axes": self.axes, "holes": self.holes}

    @property
    def usual_gap(self) -> int:
        """Most frames in a row that a cell may be missed, unless the film shows that cells are missed for longer."""
        return USUAL_GAP if self.max_gap is None else self.max_gap

    @property
    def longest_gap(self) -> int:
        """Most frames in a row that a cell may be missed where the film shows it; a window still looks beyond them."""
        return max(self.usual_gap, min(LONGEST_GAP, self.overlap - 1)) if self.max_gap is None else self.max_gap

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Settings from a TOML file; what it leaves out stays at the default.

        Raises:
            FileNotFoundError: No such file.
            ValueError: The file is no TOML, or names a setting that is not there or is of the wrong kind.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no such file of settings: {path}")
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not TOML: {error}") from None
        return cls().replaced(table, where=f"{path}: ")

    def replaced(self, changes: dict[str, Any], *, where: str = "") -> Self:
        """These settings with some changed, checked by name and kind."""
        kinds = {field.name: _kind(field) for field in fields(self)}
        changes = dict(changes)
        for name, value in changes.items():
            if name not in kinds:
                raise ValueError(f"{where}no such setting: {name}; there are {', '.join(kinds)}")
            if name == "weights":
                changes[name] = value if isinstance(value, Weights) else _weights(value, where)
                continue
            kind = kinds[name]
            fits = isinstance(value, (list, tuple)) if kind is tuple else isinstance(value, (int, float) if kind is float else kind)
            if not fits or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{where}{name} must be {'a list' if kind is tuple else kind.__name__}, not {value!r}")
        return replace(self, **changes)

    def to_toml(self) -> str:
        """The settings as TOML; what is not given is left out."""
        plain = {name: value for name, value in asdict(self).items() if value is not None}
        weights = plain.pop("weights")
        lines = [f"{name} = {_toml(value)}" for name, value in plain.items()]
        return "\n".join([*lines, "", "[weights]", *(f"{name} = {_toml(value)}" for name, value in weights.items())]) + "\n"


def _kind(field: Field[Any]) -> type:
    """What a setting must be; of those that need not be given, what their annotation says."""
    if field.default is not None:
        return type(field.default)
    return {"bool": bool, "int": int}.get(str(field.type).split(" ")[0], float)


def _weights(table: object, where: str) -> Weights:
    """Weights from a table, or a ValueError that says where it stood."""
    try:
        return Weights.of(table)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from None


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's strings are JSON's, but for this
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value)  # NumPy's too
