"""Mothers: how cells look before they divide, by hand, from divisions whose rule is known, and in a film where nothing else can tell."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import link
from lineage.scoring.film import first_guess
from lineage.scoring.mothers import Mothers, changes
from lineage.settings import Settings, Weights


def shaped(values):
    """Columns of cells of these log ratios of axes."""
    return {"axis_major": 10 * np.exp(np.array(values)), "axis_minor": np.full(len(values), 10.0)}


# What changes


def test_changes_by_hand():
    cells = Detections([0, 1, 2, 3, 3, 5], np.zeros((6, 2)), np.arange(1, 7), shaped([1.0, 2.0, 6.0, 5.0, 4.0, 1.0]))
    forest = Forest(cells, [-1, 0, 1, 2, 2, 3])  # it divides after frame 2, and one daughter is missed in frame 4
    found = changes(forest)
    assert list(found) == ["changed_shape", "shifted_shape"]
    np.testing.assert_allclose(found["changed_shape"], [0, 1, 4, 0, 0, -4])
    np.testing.assert_allclose(found["shifted_shape"], [0, 1, 4.5, 0, 0, -4])


@pytest.mark.parametrize("name", ZOO)
def test_every_lineage_has_changes(name):
    forest = ZOO[name]
    forest = replace(forest, detections=forest.detections.with_columns(area=np.arange(1.0, len(forest) + 1)))
    found = changes(forest)
    born = (forest.parent < 0) | (forest.n_children[forest.parent] != 1)
    for column in found.values():
        assert column.shape == (len(forest),)
        assert (column[born] == 0).all()
        assert (column[~born] > 0).all()  # later rows are larger
    assert list(found) == ["changed_size", "shifted_size"]
    assert changes(ZOO[name]) == {}


# What is learned


def population(seed, n=6000, slope=2.0, rate=0.01):
    """Cells of which those divide more often that have become rounder, each by its known chance; nothing else matters."""
    rng = np.random.default_rng(seed)
    rounder = rng.laplace(0, 0.1, n)
    facts = {"changed_shape": -rounder, "shifted_shape": rng.normal(0, 0.1, n)} | shaped(rng.normal(1, 0.1, n))
    told = slope * np.sign(rounder) * np.log1p(np.abs(rounder) / np.median(np.abs(rounder)))
    odds = np.log(rate) + told
    cells = Detections(np.zeros(n, int), np.zeros((n, 2)), np.arange(n), facts)
    return cells, rng.random(n) < 1 / (1 + np.exp(-odds)), told


def learned(cells, divides, rate=None):
    rate = divides.mean() if rate is None else rate
    return Mothers.fit(cells, divides, np.arange(len(cells)), np.full(len(cells), np.log(rate)))


def test_the_rule_of_a_film_is_found_again():
    cells, divides, told = population(0)
    mothers = learned(cells, divides)
    level, change, shift = mothers.slope
    assert change == pytest.approx(-2.0, abs=0.3)
    assert (level, shift) == pytest.approx((0, 0), abs=0.3)
    assert np.corrcoef(mothers(cells), told)[0, 1] < -0.95
    fresh, really, _ = population(1)
    chance = 1 / (1 + np.exp(mothers(fresh) - np.log(divides.mean())))
    for group in np.array_split(np.argsort(chance), 4):  # of other cells as many divide as it says, of the likely and of the unlikely
        assert chance[group].sum() == pytest.approx(really[group].sum(), rel=0.3, abs=5)


def test_where_looks_tell_nothing_nothing_is_learned():
    cells, divides, _ = population(0)
    shuffled = np.random.default_rng(0).permutation(divides)
    assert learned(cells, shuffled) is None
    assert learned(cells, divides & (np.cumsum(divides) < 10)) is None  # too few
    bare = Detections(cells.frame, cells.position, cells.label, shaped(np.ones(len(cells))))
    assert learned(bare, divides) is None  # nothing is known of changes


def test_what_the_age_says_is_not_said_again():
    cells, divides, told = population(0)
    rows = np.arange(len(cells))
    assert Mothers.fit(cells, divides, rows, np.log(0.01) + told) is None


def test_no_cell_is_excluded_by_its_looks():
    cells, divides, _ = population(0, slope=6.0, rate=0.002)
    mothers = learned(cells, divides)
    extreme = replace(cells, columns={**cells.columns, "changed_shape": np.full(len(cells), 1e6)})
    bound = np.log((divides.sum() + 5) / 5)  # five divisions are taken to be of cells that look like any
    assert mothers(extreme).max() <= bound + 1e-9
    assert mothers(extreme).max() > bound - 0.1


def test_false_divisions_teach_little():
    cells, divides, _ = population(0)
    invented = divides.copy()
    invented[np.flatnonzero(~divides)[:: len(divides) // 15]] = True
    clean, misled = learned(cells, divides), learned(cells, invented)
    assert np.sign(misled.slope[1]) == np.sign(clean.slope[1])
    few = Mothers.fit(cells, divides & (np.cumsum(divides) <= 12), np.arange(len(cells)), np.full(len(cells), -6.0))
    assert few is None or abs(few.slope[1]) < abs(clean.slope[1])


def test_the_unit_of_a_trait_does_not_matter():
    cells, divides, _ = population(0)
    inches = replace(cells, columns={name: column * (7.0 if "shape" in name else 1.0) for name, column in cells.columns.items()})
    one, other = learned(cells, divides), learned(inches, divides)
    assert one.slope == pytest.approx(other.slope)
    np.testing.assert_allclose(one(cells), other(inches))


def test_mothers_count_as_their_weight_says():
    cells, divides, _ = population(0, n=600, rate=0.05)
    graph = CandidateGraph(cells, np.zeros(0, int), np.zeros(0, int), {"distance": np.zeros(0)})
    mothers = learned(cells, divides)
    model = replace(first_guess(cells), mothers=mothers)
    plain, half = (model.costs(graph, weights=Weights(mothers=weight))["divide"] for weight in (0.0, 0.5))
    np.testing.assert_allclose(plain, -np.log(model.divide))
    np.testing.assert_allclose(half - plain, 0.5 * mothers(cells))
    assert json.loads(json.dumps(model.record(), allow_nan=False))["mothers"]["names"] == ["shape"]


# In a film


def garden(*, first_divides, seed=0):
    """Cells that become round before they divide; and two, alike in all else, of which one does: their daughters lie between and beside."""
    rng = np.random.default_rng(seed)
    rows, truth = [], []

    def add(t, y, x, look, parent):
        rows.append((t, y + rng.normal(0, 0.1), x + rng.normal(0, 0.1), look + rng.normal(0, 0.02)))
        truth.append(parent)
        return len(rows) - 1

    for k in range(14):  # plain divisions, far from each other
        last, at = -1, (60.0 * (k // 5), 60.0 * (k % 5))
        when = 4 + k % 5
        for t in range(when + 1):
            last = add(t, *at, 0.1 if t == when else 0.8, last)
        for side in (-4.0, 4.0):
            daughter = last
            for t in range(when + 1, 12):
                daughter = add(t, at[0], at[1] + side, 0.8, daughter)
    last = [-1, -1]
    for t in range(7):
        last = [add(t, 300.0, 100.0 + 8 * k, 0.1 if t == 6 and first_divides == (k == 0) else 0.8, last[k]) for k in (0, 1)]
    children = [(98.0, 0), (104.0, 0 if first_divides else 1), (110.0, 1)]
    now = [mother for _, mother in children]
    now = [last[k] for k in now]
    for t in range(7, 12):
        now = [add(t, 300.0, x, 0.8, before) for (x, _), before in zip(children, now, strict=True)]
    table, parent = np.array(rows), np.array(truth)
    order = np.argsort(table[:, 0], kind="stable")
    rank = np.argsort(order)
    parent = np.where(parent >= 0, rank[parent], -1)[order]
    table = table[order]
    looks = shaped(table[:, 3]) | {"area": np.full(len(table), 50.0)}
    cells = Detections(table[:, 0].astype(int), table[:, 1:3], np.zeros(len(table), int), looks)
    return cells, parent


def test_the_mother_is_the_one_that_rounded_up():
    blind = []
    for first_divides in (True, False):
        cells, truth = garden(first_divides=first_divides)
        forest = link(cells, settings=Settings(scores=("distance", "mothers")))
        assert forest.parent.tolist() == truth.tolist()
        record = forest.record["film"]["mothers"]
        assert record["names"] == ("size", "shape")
        assert record["worth"] > 5
        other = link(cells, settings=Settings(scores=("distance",)))
        assert other.record["film"]["mothers"] is None
        blind.append(other.parent.tolist() == truth.tolist())
    assert blind.count(True) <= 1  # the places are the same whichever divides
