"""Learning to score links: the loss, the examples, calibration, training, files, and the command."""

from __future__ import annotations

import json
import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from safetensors.torch import load_file, save_file

from lineage import Forest, link, simulate
from lineage.detections import Detections
from lineage.formats import write
from lineage.graph import CandidateGraph
from lineage.learn import EdgeModel, Example, Lesson, Schedule, judge, load, simulated_lessons, train, train_light
from lineage.learn.calibration import Calibration, expected_error, log_likelihoods, parent_probabilities, reliability_diagram, verdicts
from lineage.learn.examples import NOBODY, UNKNOWN, varied
from lineage.learn.facts import facts
from lineage.learn.model import Logistic
from lineage.learn.network import Batch, EdgeNetwork, NetworkConfig
from lineage.learn.training import loss_of
from lineage.linking import candidate_graph, linked
from lineage.scoring.film import first_guess
from lineage.scoring.learned import pooled
from lineage.settings import Settings

SMALL = NetworkConfig(width=16, heads=2, layers=1)


def propose(cells):
    return candidate_graph(cells, None, Settings(max_gap=2, motion=False))


@cache
def film(seed=0, frames=8):
    return simulate(frames=frames, cells=10, size=(96, 96), radius=7.0, cycle=10.0, seed=seed, miss_rate=0.03)


@cache
def lesson(seed=0, frames=8):
    return Lesson.of(film(seed, frames).truth, film(seed, frames).labels, name=f"film {seed}")


def rows(text):
    """Detections without any shape, one row a letter: its frame is its place in the alphabet; all at different places."""
    frame = np.array([ord(letter) - ord("a") for letter in text])
    return Detections(frame, np.arange(2.0 * len(text)).reshape(-1, 2), np.zeros(len(text), np.int64))


# the loss


def test_the_loss_is_minus_the_log_probability_of_what_is_known():
    """Cell 2 may come from 0 or 1 or nobody, cell 3 from 1 or nobody, cell 4 has no candidate; counted by hand."""
    score, target = torch.tensor([1.0, -1.0, 0.5]), torch.tensor([2, 2, 3])
    total = np.exp(1) + np.exp(-1) + 1
    two, three = np.log(total) - 1.0, np.log(1 + np.exp(0.5))
    nothing = torch.zeros(0, dtype=torch.long)
    answer = torch.tensor([NOBODY, NOBODY, 0, NOBODY, NOBODY])
    assert float(loss_of(score, target, answer, nothing)) == pytest.approx((two + three) / 2)
    answer = torch.tensor([NOBODY, NOBODY, UNKNOWN, NOBODY, NOBODY])
    assert float(loss_of(score, target, answer, nothing)) == pytest.approx(three)
    wrong = -np.log(1 - np.exp(-1) / total)
    assert float(loss_of(score, target, answer, torch.tensor([1]))) == pytest.approx((three + wrong) / 2)
    assert float(loss_of(score, target, torch.full((5,), UNKNOWN), nothing)) == 0.0
    assert float(loss_of(torch.tensor([800.0]), torch.tensor([0]), torch.tensor([0]), nothing)) == 0.0


def test_probabilities_of_parents_and_of_none_sum_to_one():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 6, 20)
    link, alone = parent_probabilities(rng.normal(0, 30, 20), target, 8)
    np.testing.assert_allclose(np.bincount(target, link, 8) + alone, 1.0)
    assert alone[6] == alone[7] == 1.0


# calibration


def graded(temperature, bias, n=6000):
    """A film of pairs whose truth is drawn from its scores, and scores that are too sure by a temperature."""
    rng = np.random.default_rng(4)
    score = rng.normal(0, 2, n)
    right = rng.random(n) < 1 / (1 + np.exp(-score))
    cells = Detections(np.repeat([0, 1], n), np.arange(4.0 * n).reshape(-1, 2), np.zeros(2 * n, np.int64))
    graph = CandidateGraph(cells, np.arange(n), np.arange(n, 2 * n), {"distance": np.ones(n)})
    parent = np.concatenate([np.full(n, -1), np.where(right, np.arange(n), -1)])
    told = facts(graph.keep(np.arange(0)))  # what is told does not matter here
    answer = np.full(2 * n, NOBODY)
    answer[n:][right] = np.flatnonzero(right)
    assert (parent[n:] >= 0).sum() == right.sum()
    told = type(told)(**{**vars(told), "source": graph.source, "target": graph.target})
    return (score - bias) * temperature, Example(told, answer, np.zeros(0, np.int64))


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (3.0, 1.0), (0.5, -0.7)])
def test_calibration_finds_a_known_temperature_and_bias(temperature, bias):
    score, example = graded(temperature, bias)
    found = Calibration.fit([score], [example])
    assert found.temperature == pytest.approx(temperature, rel=0.08) and found.bias == pytest.approx(bias, abs=0.1)
    assert expected_error(*verdicts(found(score), example)) < 0.02
    assert log_likelihoods(found(score), example).mean() >= log_likelihoods(score, example).mean() - 1e-9


def test_expected_error_by_hand():
    sure, right = np.array([0.95, 0.95, 0.55, 1.0]), np.array([True, False, True, True])
    assert expected_error(sure, right) == pytest.approx((abs(2.9 - 2) + abs(0.55 - 1)) / 4)
    assert expected_error(np.zeros(0), np.zeros(0, bool)) == 0.0


def test_the_diagram_is_a_picture(tmp_path):
    reliability_diagram(np.array([0.1, 0.95, 1.0]), np.array([False, True, True]), tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


# examples


def test_the_answer_is_the_true_link_also_over_a_gap():
    cells = rows("abbc")
    graph = CandidateGraph(cells, [0, 0, 0, 1], [1, 2, 3, 3], {"distance": np.ones(4)})
    parent = np.array([-1, 0, -1, 0])
    assert Example.of(graph, parent, np.ones(4, bool)).answer.tolist() == [NOBODY, 0, NOBODY, 2]
    assert Example.of(graph, parent, np.array([1, 0, 1, 1], bool)).answer.tolist() == [NOBODY, UNKNOWN, NOBODY, 2]


def test_cells_that_are_left_out_are_bridged():
    cells = rows("abcdd")
    own = Lesson.of(Forest(cells, [-1, 0, 1, 2, 2]))
    assert own.only(np.array([0, 3, 4]), np.array([0, 1, 1]), 2).parent.tolist() == [-1, 0, 0]
    assert own.between(2, 4).parent.tolist() == [-1, 0, 0]
    assert own.between(2, 4).cells.frame.tolist() == [0, 1, 1]


def test_overlaps_follow_their_cells():
    own = lesson()
    whole = own.graph(propose)
    keep = np.flatnonzero(np.random.default_rng(0).random(len(own.cells)) < 0.7)
    part = own.only(keep, own.cells.frame[keep], own.cells.n_frames)
    some = part.graph(propose)
    known = dict(zip(zip(whole.source.tolist(), whole.target.tolist(), strict=True), whole.columns["iou"].tolist(), strict=True))
    pairs = zip(keep[some.source].tolist(), keep[some.target].tolist(), strict=True)
    compared = [(known[pair], iou) for pair, iou in zip(pairs, some.columns["iou"].tolist(), strict=True) if pair in known]
    assert len(compared) > 50 and all(a == b for a, b in compared) and max(a for a, _ in compared) > 0.3
    assert "iou" not in own.graph(propose, overlaps=False).columns


def test_varied_pieces_are_lawful_and_differ_and_come_again():
    rng = np.random.default_rng(0)
    pieces = [varied(lesson(), propose, rng) for _ in range(12)]
    assert len({(len(piece.answer), float(piece.facts.link.sum())) for piece in pieces}) == 12
    for piece in pieces:
        linked_rows = np.flatnonzero(piece.answer >= 0)
        assert (piece.facts.target[piece.answer[linked_rows]] == linked_rows).all()
        assert np.isfinite(piece.facts.cell).all() and np.isfinite(piece.facts.link).all()
    again = varied(lesson(), propose, np.random.default_rng(0))
    assert np.array_equal(again.answer, pieces[0].answer) and np.array_equal(again.facts.link, pieces[0].facts.link)
    assert any(piece.facts.link[:, 12].all() for piece in pieces) and any(not piece.facts.link[:, 12].any() for piece in pieces)


def test_simulated_films_differ():
    one, two = simulated_lessons(2, seed=1)
    assert (one.parent >= 0).any() and len(one.cells) != len(two.cells) and len(one.pairs)


def test_films_without_anything_to_learn_are_refused():
    lone = Forest(rows("aaa"), [-1] * 3)
    with pytest.raises(ValueError, match=re.escape("f has cells in 1 frames: nothing can be learned from fewer than two")):
        Lesson.of(lone, name="f")
    with pytest.raises(ValueError, match=re.escape("film has cells in 0 frames: nothing can be learned from fewer than two")):
        Lesson.of(Forest(rows(""), []))
    with pytest.raises(ValueError, match=re.escape("film has no link between its 3 cells: give true lineages")):
        Lesson.of(Forest(rows("abc"), [-1] * 3))
    with pytest.raises(ValueError, match=re.escape("there is nothing to learn from: give at least one film with true lineages")):
        train([], propose)


# training


@cache
def trained():
    return train([lesson(k) for k in range(3)], propose, Schedule(steps=60, every=30, rate=5e-3), config=SMALL)


def test_three_tiny_films_are_learned_by_heart():
    table, sure, right = judge(trained(), [lesson(k) for k in range(3)], propose)
    assert right.mean() > 0.97 and expected_error(sure, right) < 0.08
    assert table["film 0"]["nats"] < 0.15
    untrained = EdgeModel(EdgeNetwork(SMALL))
    assert judge(untrained, [lesson(0)], propose)[2].mean() < 0.9


def test_it_helps_a_film_that_it_has_not_seen():
    table, _, right = judge(trained(), [lesson(7)], propose)
    assert right.mean() > 0.9 and table["film 7"]["cells"] == len(right)


def test_the_same_seed_gives_the_same_network(tmp_path):
    few = Schedule(minutes=np.inf, steps=3, every=2)
    one, two = (train([lesson()], propose, few, config=SMALL, log=tmp_path / "log.csv") for _ in range(2))
    assert np.array_equal(one.scores(lesson().graph(propose)), two.scores(lesson().graph(propose)))
    log = pd.read_csv(tmp_path / "log.csv")
    assert log["step"].tolist() == [2, 3] and log.columns.tolist() == ["step", "minutes", "loss", "held"]


@pytest.mark.parametrize("name", ["minutes", "steps", "rate", "every"])
def test_schedules_are_positive(name):
    with pytest.raises(ValueError, match=re.escape(f"{name} must be positive, not 0")):
        Schedule(**{name: 0})


# the light classifier


def few_corrections(seed=0, count=60):
    """A graph, some of its links, and whether they are true."""
    own = lesson(seed, 12)
    graph = own.graph(propose)
    true = own.parent[graph.target] == graph.source
    rng = np.random.default_rng(0)
    link = np.concatenate([rng.choice(np.flatnonzero(true), count, replace=False), rng.choice(np.flatnonzero(~true), count, replace=False)])
    return graph, link, true[link]


def test_the_light_classifier_learns_from_few_corrections():
    graph, link, right = few_corrections()
    light = train_light(graph, link, right)
    other = lesson(5, 12)
    assert judge(light, [other], propose)[2].mean() > 0.85
    true = other.graph(propose)
    cost = light.scores(true)
    same = other.parent[true.target] == true.source
    assert np.median(cost[same]) < -1 and np.median(cost[~same]) > np.median(cost[same]) + 3
    assert light.about == {"corrections": 120, "confirmed": 60, "axes": 2}


def test_one_confirmed_link_moves_little():
    graph, link, right = few_corrections()
    assert np.abs(train_light(graph, link[:1], right[:1]).scores(graph)).max() < 6


def test_weights_of_flat_films_are_refused_for_deep_ones(tmp_path):
    graph, link_, right = few_corrections()
    train_light(graph, link_[:5], right[:5]).save(tmp_path / "flat.safetensors")
    deep = Settings(edges=str(tmp_path / "flat.safetensors"))
    says = f"^{re.escape(deep.edges)} has learned from 2D films and does not know 3D ones: train weights on such films$"
    with pytest.raises(ValueError, match=says):
        link(simulate(frames=3, cells=4, size=(12, 48, 48), seed=0).labels, settings=deep)


def test_corrections_must_make_sense():
    graph = few_corrections()[0]
    with pytest.raises(
        ValueError, match=r"^there are no corrections to learn from: give at least one confirmed or rejected candidate link$"
    ):
        train_light(graph, np.zeros(0, np.int64), np.zeros(0, bool))
    two = np.flatnonzero(graph.target == graph.target[-1])[:2]
    with pytest.raises(ValueError, match=re.escape(f"two parents of the cell in row {graph.target[-1]} are confirmed: keep one")):
        train_light(graph, two, np.ones(2, bool))


# files


def test_what_is_saved_is_what_is_loaded(tmp_path):
    graph = lesson().graph(propose)
    torch.manual_seed(0)
    for network in (EdgeNetwork(SMALL), Logistic()):
        own = EdgeModel(network, Calibration(1.7, -0.3), {"seed": 4})
        own.save(tmp_path / "m.safetensors")
        again = load(tmp_path / "m.safetensors")
        assert np.array_equal(own.scores(graph), again.scores(graph)) and again.about == {"seed": 4}
        assert again.calibration == own.calibration
    with pytest.raises(ValueError, match=re.escape("m.pt cannot be written: give a name that ends in .safetensors")):
        own.save("m.pt")


def tampered(path, **changes):
    """A saved model with other tensors, or with other notes."""
    tensors = load_file(path)
    notes = {
        "format": "cytolineage.edges/1",
        "network": {"width": 16, "heads": 2, "layers": 1, "arrows": 2},
        "calibration": {},
        "about": {},
    }
    notes |= changes.pop("notes", {})
    save_file({**tensors, **changes}, path, {"cytolineage": json.dumps(notes)})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": torch.zeros(2)}, "belongs to another network: its tensor extra has shape (2,), wanted None"),
        ({"source.bias": torch.zeros(3)}, "belongs to another network: its tensor source.bias has shape (3,), wanted (16,)"),
        ({"source.bias": torch.full((16,), torch.nan)}, "is damaged: its tensor source.bias has NaN or infinite numbers"),
        ({"notes": {"format": "cytolineage.segmenter/1"}}, "holds no scores of links: its format is 'cytolineage.segmenter/1', wanted "
         "'cytolineage.edges/1'"),
        ({"notes": {"network": {"width": 10**9}}}, "is damaged: width must be a whole number from 1 to 256, not 1000000000"),
        ({"notes": {"network": {"width": 15}}}, "is damaged: width must be a multiple of heads, 4, not 15"),
        ({"notes": {"calibration": {"temperature": 0.0}}}, "is damaged: its calibration is {'temperature': 0.0}"),
        ({"notes": {"calibration": 3}}, "is damaged: its calibration is 3"),
    ],
)  # fmt: skip
def test_files_that_were_tampered_with_are_refused_in_one_line(changes, says, tmp_path):
    path = tmp_path / "m.safetensors"
    EdgeModel(EdgeNetwork(SMALL)).save(path)
    tampered(path, **changes)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path} {says}')}$"):
        EdgeModel.load(path)


def test_files_of_others_and_names_that_are_not_there(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"no such thing")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'x.safetensors'} cannot be read as safetensors: ")):
        load(tmp_path / "x.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "y.safetensors")
    with pytest.raises(ValueError, match=re.escape("holds no scores of links: its format is None, wanted 'cytolineage.edges/1'")):
        load(tmp_path / "y.safetensors")
    with pytest.raises(FileNotFoundError, match=re.escape("no such file: z.safetensors: give weights that lineage train edges wrote")):
        EdgeModel.load("z.safetensors")
    with pytest.raises(ValueError, match=r"^there are no learned scores named nothing: give a weights file, or one of .*$"):
        load("nothing")


# in the programme


def test_pooling_with_weight_0_is_the_model_and_with_1_the_scores():
    graph = lesson().graph(propose)
    score = np.random.default_rng(0).normal(size=len(graph))
    graph = graph.with_columns(learned=score)
    costs = {name: np.full(3, 2.0) for name in ("appear", "disappear", "divide")} | {"link": np.ones(len(graph))}
    costs["appear"][0] = np.inf
    own = pooled(costs, graph, 0.0)
    assert all(np.array_equal(own[name], costs[name]) for name in costs)
    net = pooled(costs, graph, 1.0)
    assert np.array_equal(net["link"], score) and net["appear"].tolist() == [np.inf, 0, 0]
    half = pooled(costs, graph, 0.25)
    np.testing.assert_allclose(half["link"], 0.75 + 0.25 * score)
    assert half["divide"].tolist() == [1.5] * 3


def test_scores_of_the_truth_lead_to_the_truth(tmp_path):
    """A film that the film's own model links wrongly is linked rightly when the scores say so, and only when they are asked."""
    own = lesson(12, 12)
    graph = own.graph(propose)
    true = own.parent[graph.target] == graph.source
    told = graph.with_columns(learned=np.where(true, -30.0, 30.0))
    forest = linked(told, Settings(edges_weight=1.0)).forest
    can = np.where(np.isin(np.arange(len(own.parent)), graph.target[true]), own.parent, -1)
    assert np.array_equal(forest.parent, can)
    assert not np.array_equal(linked(told, Settings(edges_weight=0.0)).forest.parent, can)
    costs = first_guess(own.cells).costs(told)
    assert np.corrcoef(costs["link"], true)[0, 1] < -0.8


def test_link_asks_for_the_scores_by_file(tmp_path):
    trained().save(tmp_path / "m.safetensors")
    settings = Settings(edges=str(tmp_path / "m.safetensors"))
    forest = link(film().labels, settings=settings)
    plain = link(film().labels)
    true = film().truth.parent
    assert (forest.parent == true).mean() >= (plain.parent == true).mean() - 0.02
    with pytest.raises(ValueError, match=r"^there are no learned scores named edges-9d: .*$"):
        link(film().labels, settings=Settings(edges="edges-9d"))


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_the_weight_of_the_scores_is_a_share(weight):
    with pytest.raises(ValueError, match=re.escape(f"edges_weight must be from 0 to 1, not {weight}")):
        Settings(edges_weight=weight)


# the command


def sequence(folder, seed=0):
    """A simulated film as a folder of the Challenge."""
    made = film(seed)
    for name, stack in (("01", made.image), ("01_ST/SEG", made.labels)):
        (folder / name).mkdir(parents=True)
        for t, frame in enumerate(stack):
            tifffile.imwrite(folder / name / f"{'t' if name == '01' else 'man_seg'}{t:03}.tif", frame)
    (folder / "01_GT").mkdir()
    write(made.truth, folder / "01_GT" / "TRA", labels=made.labels, format="ctc")
    return folder / "01"


def test_the_command_learns_from_films(run, tmp_path):
    out = tmp_path / "e.safetensors"
    code, said, err = run("train", "edges", "--ctc", sequence(tmp_path), "--simulate", 1, "--until", 0.7, "--steps", 3, "-o", out)
    assert (code, err) == (0, "")
    assert f"weights in {out}" in said and "expected calibration error 0." in said
    table = json.loads(said[: said.rindex("}") + 1])
    assert set(table[f"{tmp_path.name}/01"]) == {"cells", "right", "nats", "ece"}
    assert sorted(path.name for path in tmp_path.glob("e.*")) == ["e.log.csv", "e.png", "e.safetensors"]
    assert load(out).about["films"] == [f"{tmp_path.name}/01"] and load(out).about["simulated"] == 1


def test_the_command_learns_a_light_classifier_from_corrections(run, tmp_path):
    made = film()
    tifffile.imwrite(tmp_path / "l.tif", made.labels)
    forest = link(made.labels)
    child = np.flatnonzero(forest.parent >= 0)[:40]
    pd.DataFrame({"source": forest.parent[child], "target": child, "right": 1}).to_csv(tmp_path / "c.csv", index=False)
    out = tmp_path / "e.safetensors"
    code, said, err = run("train", "edges", tmp_path / "l.tif", "--from", tmp_path / "c.csv", "-o", out)
    assert (code, err) == (0, "")
    assert said == f"learned from 40 corrections about candidate links, of 40; weights in {out}\n"
    assert isinstance(load(out).network, Logistic)


EITHER = "give either LABELS --from corrections.csv, or films with truth: --ctc, --points or --simulate"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], EITHER),
        (["--from", "c.csv", "--simulate", "2"], EITHER),
        (["--from", "c.csv"], "give the label film that was corrected: lineage train edges LABELS --from corrections.csv"),
        (["--simulate", "2"], "settings.toml cannot be written: give --out a name that ends in .safetensors"),
        (["--simulate", "2", "-o", "x.safetensors", "--until", "0"], "--until must be more than 0 and at most 1, not 0.0"),
        (["--simulate", "2", "-o", "x.safetensors", "--steps", "0"], "steps must be positive, not 0"),
        (["--simulate", "2", "-o", "no/x.safetensors"], "cannot write no/x.safetensors: the folder {here}/no does not exist"),
        (["--ctc", "nowhere/01", "-o", "x.safetensors"], "nowhere/01 has no masks beside it: 01_ST/SEG, 01_GT/SEG or 01_GT/TRA is wanted"),
    ],
)  # fmt: skip
def test_the_command_says_in_one_line_what_is_wrong(words, says, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said, err = run("train", "edges", *words)
    assert (code, said) == (2, "")
    assert err.strip().endswith(says.format(here=tmp_path)) and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_batch_keeps_whole_numbers():
    batch = Batch.of(lesson().example(propose).facts)
    assert batch.near.dtype == torch.int64 and batch.cell.dtype == torch.float32
