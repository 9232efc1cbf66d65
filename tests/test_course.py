"""Course: the filter by the textbook, what is learned of films of which all is known, and what it is good for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.linking import link
from lineage.scoring.course import Course
from lineage.settings import Settings


def walk(course, seed=0, cells=60, frames=40, dims=2, side=1000.0):
    """A film of cells that keep this course, as a true forest, and the step of every cell into its frame."""
    rng = np.random.default_rng(seed)
    velocity = rng.normal(0, course.speed**0.5, (cells, dims))
    place, seen = rng.uniform(0, side, (cells, dims)), []
    for _ in range(frames):
        seen.append(place + rng.normal(0, course.jitter**0.5, place.shape))
        velocity = course.kept * velocity + rng.normal(0, (course.speed * (1 - course.kept**2)) ** 0.5, place.shape)
        place = place + velocity + rng.normal(0, course.wander**0.5, place.shape)
    return forest_of(np.array(seen))


def forest_of(seen):
    """The true forest of places (frames, cells, dims), and the step of every cell into its frame."""
    frames, cells, dims = seen.shape
    table = pd.DataFrame(seen.reshape(-1, dims), columns=["z", "y", "x"][-dims:]).assign(t=np.repeat(np.arange(frames), cells))
    parent = np.concatenate([np.full(cells, -1), np.arange((frames - 1) * cells)])
    last = np.concatenate([np.full((cells, dims), np.nan), np.diff(seen, axis=0).reshape(-1, dims)])
    return Forest(Detections.from_points(table), parent), last


def textbook(course, seen):
    """Place and velocity of one cell along one axis by matrices: the expected place in the next frame less the last one seen."""
    move, look = np.array([[1, course.kept], [0, course.kept]]), np.array([[1.0, 0.0]])
    renewed = course.speed * (1 - course.kept**2)
    noise = np.array([[renewed + course.wander, renewed], [renewed, renewed]])
    state, unsure = np.array([seen[0], 0.0]), np.diag([course.jitter, course.speed])
    for place in seen[1:]:
        state, unsure = move @ state, move @ unsure @ move.T + noise
        gain = unsure @ look.T / (look @ unsure @ look.T + course.jitter)
        state, unsure = state + (gain * (place - look @ state)).ravel(), (np.eye(2) - gain @ look) @ unsure
    return (move @ state)[0] - seen[-1]


# The filter


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("course", [Course(0.9, 4.0, 1.0, 0.5), Course(0.3, 1.0, 0.0, 2.0), Course(0.95, 1.0, 3.0, 0.0)])
def test_each_axis_is_the_textbook_s(course, dims):
    forest, last = walk(course, cells=3, frames=8, dims=dims)
    ahead = course.ahead(forest, last)
    seen = forest.detections.position.reshape(8, 3, dims)
    expected = [[[textbook(course, seen[: t + 1, k, axis]) for axis in range(dims)] for k in range(3)] for t in range(1, 8)]
    np.testing.assert_allclose(ahead[3:].reshape(7, 3, dims), expected, atol=1e-9)
    assert np.isnan(ahead[:3]).all()  # of the first frame no step is known


def test_a_straight_line_goes_on():
    seen = np.arange(6)[:, None, None] * np.array([[3.0, -1.0]])
    forest, last = forest_of(seen)
    straight = Course(1.0, 5.0, 0.0, 0.0)
    np.testing.assert_allclose(straight.ahead(forest, last)[1:], np.tile([3.0, -1.0], (5, 1)))


def test_what_only_jitters_stays():
    forest, last = walk(Course(0.5, 0.0, 4.0, 0.0), cells=1, frames=60)
    ahead = Course(0.5, 1e-9, 4.0, 0.0).ahead(forest, last)
    mean = np.cumsum(forest.detections.position, axis=0) / np.arange(1, 61)[:, None]
    np.testing.assert_allclose((forest.detections.position + ahead)[1:], mean[1:], atol=1e-6)  # it is where it was seen on average


@pytest.mark.parametrize("angle", [0.3, 2.0])
def test_turning_and_stretching_the_film_turns_and_stretches_what_is_expected(angle):
    course = Course(0.9, 4.0, 1.0, 0.5)
    forest, last = walk(course, cells=5, frames=9)
    turn = 3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    larger = Course(0.9, 9 * 4.0, 9 * 1.0, 9 * 0.5)
    np.testing.assert_allclose(larger.ahead(forest, last @ turn.T), course.ahead(forest, last) @ turn.T)


def test_a_course_begins_anew_where_a_step_is_not_known():
    course = Course(0.9, 4.0, 1.0, 0.5)
    forest, last = walk(course, cells=1, frames=9)
    last[4] = np.nan
    later, only = forest_of(forest.detections.position.reshape(9, 1, 2)[4:])
    np.testing.assert_allclose(course.ahead(forest, last)[4:], course.ahead(later, only))


# What is learned


@pytest.mark.parametrize("course", [Course(0.9, 4.0, 1.0, 0.0), Course(0.65, 4.0, 0.0, 3.0), Course(0.95, 2.0, 3.0, 1.0)])
def test_courses_are_learned(course):
    found = Course.fit(*walk(course, cells=300, frames=60))
    assert found.kept == pytest.approx(course.kept, abs=0.16)
    assert found.repeated == pytest.approx(course.repeated, abs=0.05)
    total = course.speed + 2 * course.jitter + course.wander
    assert found.speed + 2 * found.jitter + found.wander == pytest.approx(total, rel=0.1)
    assert (found.speed, found.jitter, found.wander) == pytest.approx((course.speed, course.jitter, course.wander), abs=0.25 * total)


def test_jitter_is_no_course():
    found = Course.fit(*walk(Course(0.5, 0.0, 4.0, 0.0), cells=100))  # each step takes the last one back
    assert found is None or found.speed < 0.02 * found.jitter


def test_no_course_is_learned_of_few_steps():
    assert Course.fit(*walk(Course(0.9, 4.0, 1.0, 0.0), cells=2, frames=9)) is None
    forest = Forest(Detections.from_points(pd.DataFrame({"t": [0], "y": [0.0], "x": [0.0]})), [-1])
    assert Course.fit(forest, np.full((1, 2), np.nan)) is None


@pytest.mark.parametrize(
    "course", [Course(0.95, 25.0, 4.0, 0.0), Course(0.95, 25.0, 0.0, 9.0), Course(0.9, 9.0, 9.0, 1.0), Course(0.5, 0.0, 9.0, 0.5)]
)
def test_all_steps_before_say_more_than_the_last(course):
    forest, last = walk(course)
    truth = np.full_like(last, np.nan)
    truth[forest.parent[forest.child_rows]] = last[forest.child_rows]
    both = np.isfinite(last).all(axis=1) & np.isfinite(truth).all(axis=1)
    own = (last[both] * truth[both]).sum() / (last[both] ** 2).sum()
    found = Course.fit(forest, last).ahead(forest, last)
    rest = {"last": truth - own * last, "course": truth - found, "known": truth - course.ahead(forest, last)}
    error = {name: float((each[both] ** 2).mean()) for name, each in rest.items()}
    assert error["course"] < 0.95 * error["last"]
    assert error["course"] < 1.05 * error["known"]


# In films


def fast(seed, cells=120, frames=25, side=300.0):
    """Points of cells that keep a fast course through a crowd, seen with jitter; and which cell each is."""
    return crowd(Course(0.95, 25.0, 4.0, 0.0), seed, cells, frames, side)


def crowd(course, seed, cells=120, frames=25, side=300.0):
    """Points of cells that keep this course, two in a hundred missed; and which cell each is."""
    forest, _ = walk(course, seed, cells, frames, side=side)
    place = forest.detections.position
    inside = ((place > 0) & (place < side)).all(axis=1) & (np.random.default_rng(seed).random(len(place)) > 0.02)
    table = pd.DataFrame({"t": forest.detections.frame, "y": place[:, 0], "x": place[:, 1]})
    return table[inside], np.tile(np.arange(cells), frames)[inside]


def wrong(seed):
    """How many links are wrong, and what was learned of steps."""
    table, cell = fast(seed)
    forest = link(Detections.from_points(table), settings=Settings(divisions=False))
    child = forest.child_rows
    return int((cell[child] != cell[forest.parent[child]]).sum()), forest.record["motion"]["steps"]


def test_fewer_links_are_wrong_than_by_the_last_step_alone(monkeypatch):
    found, learned = zip(*map(wrong, range(3)), strict=True)
    assert all(each["course"]["kept"] > 0.7 for each in learned)
    monkeypatch.setattr(Course, "fit", classmethod(lambda *_: None))
    before, learned = zip(*map(wrong, range(3)), strict=True)
    assert not any(each["course"] for each in learned)
    assert sum(found) < sum(before)


def test_cells_that_only_jitter_are_expected_where_they_are_on_average():
    table, _ = crowd(Course(0.5, 0.0, 20.0, 0.5), 0, cells=40)
    steps = link(Detections.from_points(table), settings=Settings(divisions=False)).record["motion"]["steps"]
    assert steps["course"]["jitter"] == pytest.approx(20, rel=0.2)
    assert steps["course"]["speed"] < 1


def test_where_the_last_step_says_it_all_it_is_enough():
    forest, _ = walk(Course(0.95, 25.0, 0.0, 0.0), 0, 120, 25, side=300.0)
    linked = link(forest.detections)
    assert linked.record["motion"]["steps"]["course"] is None
