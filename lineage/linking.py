"""Linking: detections or label film to a forest, with costs that the film itself gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .arrays import Array, BoolArray, Film, FloatArray, IntArray, Progress, silent
from .candidates import expected, nearest, overlapping, spacings, union, usual_radius
from .detections import SHARED, Detections, Masks
from .films import known_sizes
from .forest import Forest
from .graph import CandidateGraph
from .motion import expecting, field_motion, optical_flow
from .program import LINEAGE_RULES, Pins
from .scoring.confidence import CONFIDENCE, link_confidence
from .scoring.cycle import ages
from .scoring.film import FilmModel, estimate, first_guess
from .scoring.learned import LEARNED
from .scoring.merges import FIRST_RATE, Doubled, runs, shared
from .scoring.mothers import changes
from .scoring.noise import MOST, false_share, without_lone
from .scoring.ripening import ripened
from .scoring.rivals import LIKELIEST, between_chosen, likeliest, only_likeliest, selection, usual_worth, weighed
from .scoring.steps import followed, heading, met
from .settings import Settings
from .solving import solve
from .windows import in_windows

LONG = "long"  # column of links: over so many missed frames that they count only where the film shows that cells are missed for so long
_MANY = 5  # such links that are to be expected
_FEWEST = 50  # links by which a film can tell whether learned scores explain it


def link(  # noqa: PLR0913 - all but four by keyword only
    labels: Film | Detections,
    image: Film | None = None,
    scale: Sequence[float] | float | None = None,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    interval: float | None = None,
    masks: Masks | None = None,
    progress: Progress[int] = silent,
) -> Forest:
    """Find the lineages of a label film, or of detections.

    Candidate links are the nearest detections and those that overlap, also across missed frames, the movement of the whole field
    undone (``field_motion``), or that of its regions where the pictures show one (``optical_flow``). What they cost is estimated from
    the film: a first guess, solve, estimate from the solution, solve again; from the second time on cells are expected where their
    own and their neighbours' steps lead, if that explains the film better (``heading``), and in noisy films detections that belong
    to nobody are dropped (``false_share``). The forest's ``record`` says what was found, and the column ``link_confidence`` how probable
    the link of each cell to its parent is.

    Detections may exclude each other (``conflicts``) and have costs of their own (column ``select_cost``, nats: minus the log-odds of
    being a true cell). Then the solver chooses among them while it links: first only the likeliest choice is linked, for a model
    of the film, and then all of them compete.

    Args:
        labels: Label film (T, [Z,] Y, X), indexed by frame, or detections (made from points or measured before).
        image: Film of the same shape, for intensities and for movements that can be seen; with labels only.
        scale: Size of a pixel along ([z,] y, x), physical units; with labels only. What an opened film says when not given.
        settings: What to change of the defaults.
        interval: Seconds between frames; with labels only. What an opened film says when not given.
        masks: The pixels of the detections, for their overlaps; with detections only.
        progress: Wraps the loops over frames.

    Raises:
        ValueError: Labels or settings that make no sense; the message says what and where.
    """
    if isinstance(labels, Detections):
        if image is not None or scale is not None or interval is not None:
            raise ValueError("image, scale and interval are for label films: detections have their own columns, scale and interval")
        return link_graph(candidate_graph(labels, masks, settings, progress=progress), settings)
    if masks is not None:
        raise ValueError("masks are for detections: label films are their own masks")
    sizes, seconds = known_sizes(labels, image)
    scale, interval = sizes if scale is None else scale, seconds if interval is None else interval
    detections = Detections.from_labels(labels, image, scale, interval=interval, progress=progress)
    return link_graph(candidate_graph(detections, labels, settings, image=image, progress=progress), settings)


def candidate_graph(
    detections: Detections, labels: Film | Masks | None, settings: Settings, *, image: Film | None = None, progress: Progress[int] = silent
) -> CandidateGraph:
    """The candidate links of a film: the nearest, and with labels those that overlap, the movement of the field undone.

    With the pictures, the movement of every region that they show is undone instead, where cells are found again more clearly so.
    """
    detections = _with_likeliest(detections)
    sure = likeliest(detections)
    field = field_motion(sure) if settings.motion else None
    flow = optical_flow(image, sure, field, progress=progress) if settings.motion and image is not None else None
    motion = flow or field
    detections = detections if motion is None else expecting(detections, motion)
    ahead = None if motion is None else partial(motion.ahead, detections)
    count, radius = settings.neighbours, settings.radius
    if sure is not detections and len(sure) < len(detections):  # rivals crowd each other: as many more, and as far as true cells go
        count = -(-count * len(detections) // max(len(sure), 1))
        radius = float(np.fmax(usual_radius(sure), spacings(sure)).max()) if radius is None else radius
    near = nearest(detections, count, radius=radius, max_gap=settings.usual_gap, ahead=ahead)
    if labels is None or "overlap" not in settings.scores:
        return near
    graph = union([near, overlapping(detections, labels, max_gap=settings.longest_gap, ahead=ahead, progress=progress)])
    return graph.with_columns(**{LONG: graph.dt > settings.usual_gap + 1})


def link_graph(graph: CandidateGraph, settings: Settings) -> Forest:
    """Solve a candidate graph with costs estimated from it; see ``link``.

    Raises:
        ValueError: Masks may hold two cells (``settings.merges``), but the detections have no areas to tell.
    """
    if not settings.merges:
        return _with_slack_of(graph, linked(graph, settings))
    if "area" not in graph.detections.columns:
        raise ValueError("merges are told by areas, but these detections have none: give label masks, or leave merges out")
    return _with_merges(linked(graph, settings), settings)


def _with_slack_of(graph: CandidateGraph, found: Linked) -> Forest:
    """The lineages with the slack of the links that were given: others have been met since, and of those not weighed it is 0."""
    if "link" not in found.forest.slack:
        return found.forest
    n = len(graph.detections)
    asked, known = (each.source * n + each.target for each in (graph, found.graph))
    order = np.argsort(known)
    place = np.searchsorted(known[order], asked)
    there = np.append(known[order], -1)[place] == asked
    slack = np.where(there, np.append(found.forest.slack["link"][order], 0.0)[place], 0.0)
    return replace(found.forest, slack={**found.forest.slack, "link": slack})


def _with_merges(found: Linked, settings: Settings) -> Forest:
    """The lineages once more, now that masks may hold two cells: the rate of meetings is guessed, then estimated."""
    possible, rate, count = runs(found.graph, found.forest, found.model), FIRST_RATE, 0
    forest = found.forest
    if possible:
        for _ in range(2):
            doubled = Doubled.of(found.graph, found.costs, possible, rate)
            near = settings.gap * (size := _size(forest)) / (size + doubled.worth)  # what masks are worth is no cost of lineages
            wider = _cheapest(doubled.graph, doubled.costs, replace(settings, gap=near))
            count = doubled.count(wider)
            rate = (count + 1) / (int(found.forest.selected.sum()) + 100)
        forest = shared(doubled, wider, forest, found.model, gap=settings.gap) if count else forest
    masks = int((forest.detections.columns[SHARED] > 1).sum()) // 2 if count else 0
    said = {"meetings": count, "masks": masks, "possible": len(possible), "rate": rate}
    return forest.with_record(**{**found.forest.record, **forest.record}, merges=said)


@dataclass(frozen=True, eq=False)
class Linked:
    """A film as it was linked: the lineages, and what their costs were made of.

    Attributes:
        forest: The lineages, with the record of what was estimated.
        graph: The candidate links as they were weighed at last, cells expected where they and their neighbours head; n detections.
        model: What the costs of its links and events are made of.
        costs: Nats, as ``lineage.solve`` takes them.
    """

    forest: Forest
    graph: CandidateGraph
    model: FilmModel
    costs: dict[str, Any]

    @property
    def worthwhile(self) -> tuple[CandidateGraph, dict[str, Any]]:
        """The links that a cheapest forest may hold, and the costs of the graph of these."""
        keep, costs = _worthwhile(self.graph, self.costs)
        return self.graph.keep(keep), costs


def linked(graph: CandidateGraph, settings: Settings) -> Linked:
    """Solve a candidate graph with costs estimated from it, and keep the costs; see ``link``."""
    whole, graph = graph, _without_long(graph)
    graph = _with_learned(replace(graph, detections=_with_likeliest(graph.detections)), settings)
    chosen = likeliest(graph.detections)
    model = _as_set(first_guess(chosen), settings)
    select = _first_selection(graph, settings, model)
    forest, costs = _solved(graph, model, settings, select)
    head, field, given = None, graph, settings
    noise = false_share(forest, model.appear) if _believed(graph, settings) and settings.rounds else 0.0
    if noise:
        settings, forest = _doubting(settings, noise), without_lone(forest)
    for k in range(settings.rounds):
        worth = usual_worth(graph, costs["link"], forest)
        head = heading(field, forest, known=bool(model.likeness.traits), least=model.distance.least) if settings.motion else None
        if head and k and LEARNED not in field.columns:  # a network has said all that it has to say of the links it was shown
            field = met(field, head, settings.radius)
        graph = followed(field, head) if head else field
        graph = replace(graph, detections=graph.detections.with_columns(cycle_age=ages(forest), **changes(forest)))
        learned = graph.keep(between_chosen(graph, forest)) if weighed(graph.detections) else graph
        model = _as_set(estimate(model, learned, forest), settings)
        if k == 0:
            scores, long = _likelier(field, graph, forest, model, settings), _often_missed_for_long(forest, model, settings)
            if (more := _with_more(whole, field, scores, long=long)) is not None:
                return linked(more, given)
        select = _selection(graph, settings, worth, model)
        forest, costs = _solved(graph, model, settings, select)
        if noise:  # of false detections that looked like others at first, some have been dropped by now
            noise = min(max(noise, float((~forest.selected).mean())), MOST)
            settings = _doubting(settings, noise)
    radius = settings.radius if settings.radius is not None else usual_radius(chosen)
    motion = _moves(field.detections) | {"steps": asdict(head.steps) if head else None}
    film = model.record() | {"false_share": noise, "learned": LEARNED in graph.columns}
    forest = forest.with_record(film=film, motion=motion, candidates={"edges": len(graph), "radius": radius})
    sure = {CONFIDENCE: link_confidence(graph, costs, forest)}
    return Linked(replace(forest, detections=_plain(field.detections).with_columns(**sure)), graph, model, costs)


def _without_long(graph: CandidateGraph) -> CandidateGraph:
    """The graph without the links that not every film needs, and without the column that tells them."""
    if LONG not in graph.columns:
        return graph
    plain = replace(graph, columns={name: column for name, column in graph.columns.items() if name != LONG})
    return plain.keep(np.flatnonzero(~graph.columns[LONG]))


def _often_missed_for_long(forest: Forest, model: FilmModel, settings: Settings) -> bool:
    """Whether a solution without the long links speaks for them: of all runs of missed frames ``model.again`` go on for one more."""
    return bool((forest.gap > 0).sum() * model.again**settings.usual_gap >= _MANY)


def _with_more(whole: CandidateGraph, field: CandidateGraph, scores: FloatArray | None, *, long: bool) -> CandidateGraph | None:
    """The candidate links with what a first solution speaks for, None if for nothing.

    Args:
        whole: All links, with the column ``long``, if there are any such.
        field: Those that are not long.
        scores: Their learned scores, nats, if these count.
        long: Whether the long ones count. Nothing is learned of these.
    """
    if not long or LONG not in whole.columns:
        return None if scores is None else field.with_columns(learned=scores)
    columns = {name: column for name, column in whole.columns.items() if name != LONG}
    if scores is not None:
        columns[LEARNED] = np.zeros(len(whole))
        columns[LEARNED][~whole.columns[LONG]] = scores
    return replace(whole, columns=columns)


def _with_likeliest(detections: Detections) -> Detections:
    """Detections with costs of their own that know which of them are the likeliest choice without any link."""
    if not weighed(detections) or LIKELIEST in detections.columns:
        return detections
    alone = CandidateGraph(detections, np.zeros(0, np.int64), np.zeros(0, np.int64))
    return detections.with_columns(likeliest=solve(alone, {"select": detections.columns["select_cost"]}, gap=0.0).selected)


def _with_learned(graph: CandidateGraph, settings: Settings) -> CandidateGraph:
    """The graph with the learned scores of its links, where they are wanted without asking the film."""
    if settings.edges in ("", "auto") or LEARNED in graph.columns:
        return graph
    from .learn.model import AUTO, learned_costs  # here, so that linking without it loads no torch

    return graph.with_columns(learned=learned_costs(graph, AUTO if settings.edges == "always" else settings.edges))


def _likelier(field: CandidateGraph, graph: CandidateGraph, forest: Forest, model: FilmModel, settings: Settings) -> FloatArray | None:
    """The learned scores of the links, nats, (m,), if the film is asked and its links speak for them; else None.

    They have learned from masks in 2D of which each is one cell: points, 3D films, and choices among masks or counts in them do without,
    as do films with too few links to tell. On films that were left out of their training they helped so, see docs/linking.md.
    """
    masks = "area" in graph.detections.columns and "iou" in graph.columns and graph.detections.n_axes == 2
    rivals = graph.detections.conflicts or weighed(graph.detections) or settings.merges
    if settings.edges != "auto" or settings.edges_weight == 0 or not masks or rivals or LEARNED in graph.columns:
        return None
    plain = (forest.parent[graph.target] == graph.source) & (graph.dt == 1) & (forest.n_children[graph.source] == 1)
    if plain.sum() < _FEWEST:
        return None
    try:
        from .learn.choosing import costs_if_likelier  # here, so that linking without it loads no torch

        return costs_if_likelier(field, graph, np.flatnonzero(plain), costs_of(graph, model, settings))
    except (ImportError, OSError, ValueError):  # torch or the weights are not there, or damaged: nobody has asked for them
        return None


def _first_selection(graph: CandidateGraph, settings: Settings, model: FilmModel) -> FloatArray:
    """Costs of the detections before anything is known of the film, nats; (n,)."""
    return only_likeliest(graph.detections) if weighed(graph.detections) else _selection(graph, settings, 0.0, model)


def _selection(graph: CandidateGraph, settings: Settings, worth: float, model: FilmModel) -> FloatArray:
    """Costs of the detections, nats; (n,)."""
    if weighed(graph.detections) and settings.detection is None:
        return selection(graph.detections, worth, model.likeness.trait("size"))
    doubtful = settings.detection if settings.detection is not None else -5.0
    return np.full(len(graph.detections), -np.inf if _believed(graph, settings) else doubtful)


def _moves(detections: Detections) -> dict[str, Any]:
    """In how many frames the field moved, and how far at most, for the record."""
    length = np.sqrt(((expected(detections) - detections.position) ** 2).sum(axis=1))
    return {"frames": len(np.unique(detections.frame[length > 0])), "farthest": float(length.max(initial=0.0))}


def _plain(detections: Detections) -> Detections:
    """The detections without what was only expected of them."""
    plain = {name: column for name, column in detections.columns.items() if not name.startswith(("ahead_", "behind_", LIKELIEST))}
    return detections if len(plain) == len(detections.columns) else replace(detections, columns=plain)


def _as_set(model: FilmModel, settings: Settings) -> FilmModel:
    model = replace(model, learned=settings.edges_weight)
    model = replace(model, miss=settings.miss) if settings.miss is not None else model
    model = replace(model, overlap=None) if "overlap" not in settings.scores else model
    model = replace(model, mothers=None) if "mothers" not in settings.scores else model
    return replace(model, likeness=model.likeness.only(settings.scores))


def _doubting(settings: Settings, noise: float) -> Settings:
    """Settings by which this share of the detections is false."""
    return replace(settings, detection=float(np.log(noise / (1 - noise))))


def _believed(graph: CandidateGraph, settings: Settings) -> bool:
    """Whether every detection is taken for true: nothing else is set, and none excludes another or has a cost of its own."""
    return settings.detection is None and not graph.detections.conflicts and not weighed(graph.detections)


def _size(forest: Forest) -> float:
    """Size of the cost of a forest, nats; not below 1."""
    return max(abs(forest.certificate.objective), 1.0) if forest.certificate else 1.0


def _solved(graph: CandidateGraph, model: FilmModel, settings: Settings, select: FloatArray) -> tuple[Forest, dict[str, Any]]:
    """The cheapest forest at the costs of a model and of the detections (nats, (n,)), and all these costs."""
    costs = costs_of(graph, model, settings) | {"select": select}
    return _cheapest(graph, costs, settings), costs


def costs_of(graph: CandidateGraph, model: FilmModel, settings: Settings, spare: IntArray | None = None) -> dict[str, Any]:
    """What links and events cost by a model, or as it is set; those to be spared are never forbidden, see ``FilmModel.costs``."""
    given: dict[str, Any] = {name: getattr(settings, name) for name in ("appear", "disappear", "divide", "weights")}
    costs = model.costs(graph, **given, spare=spare)
    return costs if settings.divisions else costs | {"divide": np.full(len(graph.detections), np.inf), "divide_pair": None}


def _cheapest(graph: CandidateGraph, costs: dict[str, Any], settings: Settings) -> Forest:
    """The cheapest forest; links that cannot be in it are left out before."""
    keep, worthwhile = _worthwhile(graph, costs)
    forest = replace(cheapest(graph.keep(keep), worthwhile, settings), memory=None)  # of no use: the next costs are others throughout
    if "link" not in forest.slack:
        return forest
    slack = np.zeros(len(graph))  # of a link that was left out nothing is known but that choosing it costs something
    slack[keep] = forest.slack["link"]
    return replace(forest, slack={**forest.slack, "link": slack})


def cheapest(graph: CandidateGraph, costs: dict[str, Any], settings: Settings, pins: Pins | None = None) -> Forest:
    """The cheapest forest that obeys the rules which the user gives; with ``min_cycle`` nothing can be pinned."""
    if settings.min_cycle is None:
        return _of_usual_rules(graph, costs, settings, pins)
    return ripened(graph, costs, settings.min_cycle, partial(_of_usual_rules, settings=settings), gap=settings.gap)


def _of_usual_rules(graph: CandidateGraph, costs: dict[str, Any], settings: Settings, pins: Pins | None = None) -> Forest:
    """The cheapest forest, of the whole film or window by window."""
    limits: Any = {"time_limit": settings.time_limit, "threads": settings.threads, "seed": settings.seed, "pins": pins}
    if settings.window is None:
        return solve(graph, costs, settings.solver, settings.gap, rules=LINEAGE_RULES, **limits)
    return in_windows(graph, costs, settings.window, settings.overlap, solver=settings.solver, gap=settings.gap, **limits)


def _worthwhile(graph: CandidateGraph, costs: dict[str, Any]) -> tuple[BoolArray, dict[str, Any]]:
    """Which links a cheapest forest may hold, bool (m,), and the costs of the graph of these.

    A link is not worth it when ending at its source and appearing at its target costs no more, unless it may be one of a
    pair of daughters (``FilmModel`` has forbidden the pairs that are not worth it).
    """
    cost: Array = costs["link"]
    keep = cost < costs["appear"][graph.target] + costs["disappear"][graph.source]
    pairs = costs["divide_pair"]
    if pairs is None:
        return keep, {**{k: v for k, v in costs.items() if k != "divide_pair"}, "link": cost[keep]}
    a, b, pair_cost = pairs
    alive = pair_cost != np.inf
    keep[a[alive]] = keep[b[alive]] = True
    both = keep[a] & keep[b]
    number = np.cumsum(keep) - 1
    return keep, {**costs, "link": cost[keep], "divide_pair": (number[a[both]], number[b[both]], pair_cost[both])}
