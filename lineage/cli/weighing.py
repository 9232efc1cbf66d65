"""Commands that learn to score links, from corrected lineages or from true ones: train edges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import Scale, SettingsFile, bar, numbers, settings_of, train_app

if TYPE_CHECKING:
    from lineage.learn import Lesson, Schedule
    from lineage.settings import Settings


@train_app.command("edges")
def train_edges(
    labels: Annotated[
        Path | None, typer.Argument(help="What was linked: the label film, or the folder of the results; with --from.", show_default=False)
    ] = None,
    corrections: Annotated[
        Path | None, typer.Option("--from", help="CSV of confirmed and rejected links: source, target (ids), right.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="With --from a settings file, .toml, for track --settings; else weights, .safetensors.")
    ] = Path("settings.toml"),
    film: Annotated[Path | None, typer.Option(help="The images, if they were linked with them; with --from.")] = None,
    lineages: Annotated[Path | None, typer.Option(help="Also write the corrected lineages, in any format that convert knows.")] = None,
    scale: Scale = None,
    settings: SettingsFile = None,
    ctc: Annotated[list[Path] | None, typer.Option(help="Challenge sequence with truth, such as data/01; repeat for several.")] = None,
    points: Annotated[list[Path] | None, typer.Option(help="Table of true lineages, such as .csv; repeat for several.")] = None,
    simulate: Annotated[int, typer.Option(help="Also learn from so many simulated films.")] = 0,
    until: Annotated[float, typer.Option(help="First part in time of each film to learn from; the rest is for the report.")] = 1.0,
    minutes: Annotated[float, typer.Option(help="How long to learn at most.")] = 20.0,
    steps: Annotated[int, typer.Option(help="How many pieces of film to learn from at most.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Another seed, another model.")] = 0,
) -> None:
    """Learn to score links: from corrections how much each kind of evidence counts, from true lineages a network.

    With --from and --out FILE.toml the weights of the film's own evidence are learned, with --out FILE.safetensors a light classifier.
    With --ctc, --points or --simulate a network is learned; a log and a reliability diagram appear beside it. Use a .toml with
    track --settings FILE, and .safetensors with track --edges FILE.
    """
    known = settings_of(settings)
    for place in (out, lineages):
        if place is not None and not place.absolute().parent.is_dir():
            raise FileNotFoundError(f"cannot write {place}: the folder {place.absolute().parent} does not exist")
    films = bool(ctc or points or simulate)
    if films == (corrections is not None):
        raise ValueError("give either LABELS --from corrections.csv, or films with truth: --ctc, --points or --simulate")
    if corrections is None:
        if out.suffix != ".safetensors":
            raise ValueError(f"{out} cannot be written: give --out a name that ends in .safetensors")
        if not 0 < until <= 1:
            raise ValueError(f"--until must be more than 0 and at most 1, not {until}")
        from lineage.learn import Schedule

        schedule = Schedule(minutes=minutes, steps=steps, seed=seed)
        _from_films(_lessons(ctc or [], points or [], numbers(scale)), out, known, (until, simulate, schedule))
        return
    if out.suffix not in (".toml", ".safetensors"):
        raise ValueError(f"{out} cannot be written: give --out a name that ends in .toml or .safetensors")
    if lineages is not None:
        _check_lineages(lineages, out)
    if labels is None:
        raise ValueError("give the label film that was corrected: lineage train edges LABELS --from corrections.csv")
    _from_corrections((labels, film), corrections, out, lineages, (numbers(scale), known))


def _check_lineages(lineages: Path, out: Path) -> None:
    """Refuse a place for the corrected lineages before the work."""
    from lineage.formats.known import to_write

    if out.suffix != ".toml":
        raise ValueError("--lineages is for weights of the evidence: give --out a name that ends in .toml, or leave --lineages out")
    to_write(lineages)


def _from_corrections(
    linked: tuple[Path, Path | None], corrections: Path, out: Path, lineages: Path | None, how: tuple[Any, Settings]
) -> None:
    """Learn weights of the evidence, or a light classifier, from corrections."""
    from lineage.films import open_film
    from lineage.films.atomic import new_file
    from lineage.fitting import fit, read_corrections
    from lineage.fitting.numbering import linked_before
    from lineage.formats import write
    from lineage.linking import candidate_graph, link

    (scale, settings), (labels, film) = how, linked
    image = None if film is None else open_film(film, **settings.reading)
    before, masks, after = linked_before(labels)
    forest = link(masks, image, scale, settings, progress=bar)
    verdicts = read_corrections(corrections, before(forest))
    if out.suffix == ".safetensors":
        from lineage.learn import train_light

        graph = candidate_graph(forest.detections, masks, settings, image=image, progress=bar)
        rows, there = verdicts.among(graph)
        model = train_light(graph, rows[there], verdicts.right[there])
        model.save(out)
        print(f"learned from {int(there.sum())} corrections about candidate links, of {len(verdicts)}; weights in {out}")
        return
    learned = fit(forest, verdicts, masks, settings, image=image)
    with new_file(out) as place:
        place.write_text(learned.settings.to_toml(), encoding="utf-8")
    if lineages is not None:
        write(after(learned.forest), lineages, labels=masks)
    print(learned)
    print(f"settings in {out}")


def _from_films(lessons: list[Lesson], out: Path, settings: Settings, how: tuple[float, int, Schedule]) -> None:
    """Learn a network from true lineages, write it, and report on what it has not seen."""
    from lineage.learn import judge, simulated_lessons, train
    from lineage.learn.calibration import expected_error, reliability_diagram
    from lineage.linking import candidate_graph

    def propose(cells: Any) -> Any:  # noqa: ANN401 - Detections -> CandidateGraph
        return candidate_graph(cells, None, settings)

    until, simulated, schedule = how
    cuts = [max(round(lesson.cells.n_frames * until), 2) for lesson in lessons]
    learn = [lesson.between(0, cut) for lesson, cut in zip(lessons, cuts, strict=True)]
    kept = [lesson.between(cut, lesson.cells.n_frames) for lesson, cut in zip(lessons, cuts, strict=True)]
    kept = [lesson for lesson in kept if lesson.cells.n_frames > 1 and (lesson.parent >= 0).any()]
    n_axes = lessons[0].cells.n_axes if lessons else 2
    also = [*simulated_lessons(simulated, n_axes, seed=schedule.seed, progress=bar)]
    about = {"films": [lesson.name for lesson in lessons], "until": until, "simulated": simulated, "seed": schedule.seed, "axes": n_axes}
    model = train(learn, propose, schedule, also=also, log=out.with_suffix(".log.csv"), about=about, progress=bar)
    kept = kept or [lesson.between(int(0.8 * lesson.cells.n_frames), lesson.cells.n_frames) for lesson in learn or also]
    table, sure, right = judge(model, kept, propose)
    model.save(out)
    if len(sure):
        reliability_diagram(sure, right, out.with_suffix(".png"))
    print(json.dumps(table, indent=1))
    error = (
        f"expected calibration error {expected_error(sure, right):.4f} over {len(sure)} cells"
        if len(sure)
        else "nothing left to judge it by"
    )
    print(f"{error}; weights in {out}")


def _lessons(ctc: list[Path], points: list[Path], scale: tuple[float, ...] | None) -> list[Lesson]:
    """The films with truth that were named."""
    import numpy as np

    from lineage.benchmarking.case import case_of
    from lineage.detections import Detections
    from lineage.forest import Forest
    from lineage.formats import read
    from lineage.learn import Lesson

    lessons = []
    for folder in ctc:
        masks, truth = _masks_of(folder), folder.with_name(f"{folder.name}_GT")
        case = case_of(masks, truth, image=folder if folder.is_dir() else None, scale=scale, progress=bar)
        assert case.labels is not None
        oracle = case.oracle()
        cells = Detections.from_labels(case.labels, case.image, scale, progress=bar)
        alone = np.bincount(case.row, minlength=len(cells)) <= 1  # a mask that holds two cells has no one parent
        forest = Forest(cells, oracle.parent, oracle.selected)
        name = "/".join(folder.absolute().parts[-2:])
        lessons.append(Lesson.of(forest, case.labels, known=alone, name=name, progress=bar))
    lessons += [Lesson.of(read(table), name=table.name) for table in points]
    if len({lesson.cells.n_axes for lesson in lessons}) > 1:
        raise ValueError("some of the films are 2D and some 3D: train a model for each")
    return lessons


def _masks_of(folder: Path) -> Path:
    """The masks of a sequence: the silver truth, else the gold truth where every frame has one, else the markers."""
    for place in (f"{folder.name}_ST/SEG", f"{folder.name}_GT/SEG", f"{folder.name}_GT/TRA"):
        found = folder.parent / place
        markers = folder.parent / f"{folder.name}_GT" / "TRA"
        if found.is_dir() and len([*found.glob("*.tif")]) == len([*markers.glob("*.tif")]):
            return found
    raise FileNotFoundError(
        f"{folder} has no masks beside it: {folder.name}_ST/SEG, {folder.name}_GT/SEG or {folder.name}_GT/TRA is wanted"
    )
