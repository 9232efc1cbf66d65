"""What stars are made of: rays, distances, shared areas, outlines, filled pixels."""

import re

import numpy as np
import pytest

from segmentation.stars.consensus import consent
from segmentation.stars.drawing import draw
from segmentation.stars.rays import finer, make_rays
from segmentation.stars.suppression import suppress
from segmentation.stars.walking import centrality, distances, radius

STRETCHED = (3.0, 1.0, 1.0)
KINDS = {
    "flat": make_rays(16),
    "squeezed": make_rays(12, 2, (2.0, 1.0)),
    "lopsided": make_rays(((1, 0), (0.5, 2), (-1, 1), (-1, -1), (0, -3), (1, -1))),
    "deep": make_rays(24, 3),
    "stretched": make_rays(30, 3, STRETCHED),
}
SOLID = ("deep", "stretched")
each_kind = pytest.mark.parametrize("kind", KINDS)


def holds(point, distance, rays, places):
    """Whether places lie in a star: in the cone of one of its facets, on the middle's side of it; and by how much they do."""
    corners = distance[:, None] * rays.step
    shares = np.linalg.inv(corners[rays.facets].transpose(0, 2, 1)) @ (places - point).T  # (facets, d, places)
    inside = (shares >= -1e-12).all(1)
    depth = np.where(inside, 1 - shares.sum(1), -np.inf).max(0)
    return depth > 0, np.abs(depth)


def lattice(low, high, apart):
    axes = [np.arange(a, b, c) for a, b, c in zip(low, high, apart, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


def some(kind, n, seed):
    """Random stars close to each other, and the size of the picture."""
    rng, rays = np.random.default_rng(seed), KINDS[kind]
    shape = (18 if rays.dims == 2 else 12) / rays.spacing
    points = np.rint(rng.uniform(0, 1, (n, rays.dims)) * (shape - 1)).astype(int)
    far = rng.uniform(2, 6, (n, 1)) * rng.uniform(0.7, 1.3, (n, len(rays)))
    return points, far, rays, tuple(int(s) for s in shape)


def test_rays_of_a_circle_begin_along_x_and_turn_towards_y():
    assert make_rays(4).unit == pytest.approx(np.array([[0, 1], [1, 0], [0, -1], [-1, 0]]))
    assert sorted(map(tuple, np.sort(make_rays(4).facets, 1).tolist())) == [(0, 1), (0, 3), (1, 2), (2, 3)]


def test_rays_of_a_sphere_are_spread_evenly_and_shortened_along_wide_pixels():
    rays = make_rays(96, 3, STRETCHED)
    assert np.linalg.norm(rays.unit, axis=1) == pytest.approx(1)
    apart = np.sort(np.arccos(np.clip(rays.unit @ rays.unit.T, -1, 1)), 1)[:, 1]
    assert apart.min() > 0.18 and apart.max() < 0.45  # 96 equal caps are 0.41 wide
    assert rays.step == pytest.approx(rays.unit / STRETCHED)
    assert len(rays.facets) == 2 * 96 - 4  # Euler: a closed surface of triangles


@each_kind
def test_finer_rays_keep_the_old_ones_and_close_around_the_middle(kind):
    rays = KINDS[kind]
    fine = finer(rays)
    assert fine.rays.unit[: len(rays)] == pytest.approx(rays.unit)
    assert fine.share.sum(0) == pytest.approx(1) and (fine.share[:, : len(rays)] == np.eye(len(rays))).all()
    assert len(fine.rays.facets) == fine.parts**2 * len(rays.facets)
    places = np.random.default_rng(0).normal(size=(200, rays.dims))
    found = fine.inverse @ places.T  # every direction is in one facet of each level, and in a part of that facet
    size = len(rays.facets)
    holder = [(found[begin : begin + n] > 0).all(1) for begin, n in ((0, size), (size, size * fine.parts))]
    assert (holder[0].sum(0) == 1).all() and (holder[1].sum(0) == 1).all()
    assert (holder[1].argmax(0) // fine.parts == holder[0].argmax(0)).all()


@pytest.mark.parametrize(
    ("spacing", "half"), [((1.0, 1.0), (2, 2)), ((2.0, 1.0), (3, 4)), ((1.0, 1.0, 1.0), (1, 2, 3)), (STRETCHED, (1, 2, 3))]
)
def test_distances_from_the_middle_of_a_box_are_exact(spacing, half):
    labels = np.zeros([2 * h + 5 for h in half], np.int32)
    labels[tuple(slice(2, -2) for _ in half)] = 7
    rays = make_rays(40, len(half), spacing)
    said = distances(labels, rays)
    middle = (slice(None), *(h + 2 for h in half))
    with np.errstate(divide="ignore"):
        sides = ((np.array(half) + 0.5) / np.abs(rays.step)).min(1)
    short = sides - said[middle]  # a step of one unit may pass over the last pixel of the cell where the ray cuts its corner
    assert short.min() > -1e-4 and short.max() < 1 and short.mean() < 0.2
    axial = np.isclose(np.abs(rays.step).max(1), np.linalg.norm(rays.step, axis=1))
    assert axial.any() and said[middle][axial] == pytest.approx(sides[axial], abs=1e-4)
    assert (said[:, labels == 0] == 0).all() and (said[:, labels > 0] > 0).all()


@pytest.mark.parametrize("size", [3, 8, 20])
def test_distances_in_a_disc_are_its_radius(size):
    rows, columns = np.indices((51, 51))
    disc = (np.hypot(rows - 25, columns - 25) <= size).astype(np.int32)
    said = distances(disc, make_rays(32))[:, 25, 25]
    assert said.mean() == pytest.approx(radius(disc)[0], abs=0.15)
    assert np.abs(said - size).max() < 1.2


def test_a_ray_that_leaves_the_picture_or_meets_the_unknown_is_longer_than_seen():
    labels = np.array([[0, 3, 3, 3]])
    rays = make_rays(4)  # right, down, left, up
    assert distances(labels, rays)[:, 0, 2].tolist() == [-1.5, -0.5, 1.5, -0.5]
    assert distances(labels, rays, complete=False)[:, 0, 2].tolist() == [1.5, 0.5, 1.5, 0.5]
    labels[0, 0] = -1
    assert distances(labels, rays, complete=False)[:, 0, 2].tolist() == [1.5, 0.5, -1.5, 0.5]


def test_the_middle_of_each_cell_is_its_deepest_place_wherever_it_touches_others():
    labels = np.zeros((9, 20), np.int64)
    labels[1:8, 1:8], labels[1:8, 8:11], labels[4, 14] = 9_000_000_000, 5, -3
    said = centrality(labels)
    assert said[4, 4] == 1 and said[4, 9] == 1 and said[4, 8] == said[4, 10] == 0.5
    assert said[1, 1:8] == pytest.approx(0.25) and (said[labels <= 0] == 0).all()
    assert (centrality(np.full((4, 5), 2)) == 1).all()
    assert centrality(np.ones((3, 1, 1), int), (4.0, 1.0, 1.0)).ravel() == pytest.approx(1)


def test_the_radius_is_that_of_a_ball_of_equal_size():
    labels = np.zeros((4, 10, 10), int)
    labels[0, :5, :5], labels[2] = 4, 2
    assert radius(labels, STRETCHED) == pytest.approx((np.array([300, 75]) * 3 / np.pi / 4) ** (1 / 3))


@each_kind
def test_pixels_of_a_drawn_star_are_those_on_the_inner_side_of_its_facets(kind):
    points, far, rays, shape = some(kind, 6, 0)
    places = lattice(np.zeros(rays.dims), shape, np.ones(rays.dims))
    wanted, sure = np.zeros(len(places), int), np.full(len(places), np.inf)
    for i in reversed(range(len(points))):  # the first on top
        inside, away = holds(points[i], far[i], rays, places)
        wanted[inside], sure = i + 1, np.minimum(sure, away)
    drawn = draw(points, far, rays, shape)
    assert drawn.dtype == np.int32 and drawn.shape == shape and drawn.max() > 2
    assert (drawn.ravel() == wanted)[sure > 1e-9].all()


@each_kind
@pytest.mark.parametrize("seed", range(3))
def test_a_star_is_removed_when_a_better_one_that_stays_shares_too_much_with_it(kind, seed):
    points, far, rays, shape = some(kind, 40 if kind not in SOLID else 12, seed)
    margin = 9 / rays.spacing
    places = lattice(-margin, shape + margin, (0.9 if kind in SOLID else 0.3) / rays.spacing)
    masks = np.array([holds(p, f, rays, places)[0] for p, f in zip(points, far, strict=True)]).astype(np.float64)
    both = masks @ masks.T
    area = np.diag(both)
    share = both / np.minimum(area[:, None], area)
    owner, alike = suppress(points, far, rays, 0.4)
    stay = np.flatnonzero(owner == np.arange(len(owner)))
    unsure = 0.08  # areas are counted on lattices
    assert 0 in stay and len(stay) < len(points)
    assert (share[np.ix_(stay, stay)] - np.eye(len(stay)) < 0.4 + unsure).all()
    for j in np.setdiff1d(np.arange(len(points)), stay):  # each has its own remover
        assert owner[j] in stay and owner[j] < j and share[j, owner[j]] > 0.4 - unsure
        removers = stay[(stay < j) & (share[j, stay] > 0.4 + unsure)]
        assert both[j, owner[j]] >= both[j, removers].max(initial=0) - unsure * area[j]
        assert alike[j] == pytest.approx(both[j, owner[j]] / (area[j] + area[owner[j]] - both[j, owner[j]]), abs=unsure)
    assert (alike[stay] == 1).all()


def test_a_star_inside_another_is_removed_however_small_it_is():
    rays = make_rays(8)
    points = np.array([[50, 50], [52, 47], [80, 80], [50, 50]])
    far = np.array([20.0, 0.5, 0.5, 300])[:, None] * np.ones(8)
    assert suppress(points, far, rays, 0.4)[0].tolist() == [0, 0, 2, 0]
    assert suppress(points[:0], far[:0], rays, 0.4)[0].shape == (0,)


def test_stars_far_apart_do_not_know_of_each_other():
    rng, rays = np.random.default_rng(0), KINDS["flat"]
    cells = rng.integers(6, size=60)
    points = np.stack([np.array([20, 900])[cells % 2], 40 * (cells // 2)], 1) + rng.integers(-2, 3, (60, 2))
    far = rng.uniform(7, 8, (60, 16))
    first = np.array([np.flatnonzero(cells == cell)[0] for cell in cells])
    assert (suppress(points, far, rays, 0.3)[0] == first).all()


def seen_from(points, middle, size, rays):
    """Distances to a ball's rim from places in it: |o + t v| = size."""
    o = (points - middle) * rays.spacing
    along = o @ rays.unit.T
    return -along + np.sqrt(along**2 + size**2 - (o**2).sum(1)[:, None])


@each_kind
def test_members_that_see_the_same_rim_agree_on_it_even_from_other_places(kind):
    rays = KINDS[kind]
    rng = np.random.default_rng(0)
    middle, size = np.full(rays.dims, 20.0), 9.0
    points = np.rint(middle + rng.uniform(-3, 3, (80, rays.dims)) / rays.spacing)
    far = seen_from(points, middle, size, rays)
    fine = finer(rays)
    wanted = seen_from(points[:1], middle, size, fine.rays)
    alone = consent(points, far, (np.arange(80) == 0) * 1.0, np.zeros(80, int), rays, fine)
    together = consent(points, far, np.ones(80), np.zeros(80, int), rays, fine)
    assert alone == pytest.approx(far[:1] @ fine.share) and alone.shape == together.shape == (1, len(fine.rays))
    assert np.abs(together - wanted).mean() < 0.6 * np.abs(alone - wanted).mean() < 1
    noisy = far * np.exp(rng.normal(0, 0.2, far.shape))
    better = consent(points, noisy, np.ones(80), np.zeros(80, int), rays, fine)
    assert np.abs(better - wanted).mean() < 0.6 * np.abs(noisy[:1] @ fine.share - wanted).mean()


def test_each_star_listens_to_its_own_members():
    rays = make_rays(16)
    points = np.array([[10, 10], [40, 40], [10, 10], [40, 40], [40, 40]])
    far = np.array([4.0, 9, 6, 12, 500])[:, None] * np.ones(16)
    said = consent(points, far, np.array([0.9, 0.6, 0.9, 0.3, 0]), np.array([0, 1, 0, 1, 1]), rays, finer(rays))
    assert said.shape == (2, 64) and said[0] == pytest.approx(5) and said[1] == pytest.approx(10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((32, 4), "dims is 4: a star has 2 or 3 spatial axes"),
        ((2, 2), "rays is 2: give at least 3 rays in 2 dimensions"),
        ((96, 3, (1.0, 1.0)), "spacing is (1.0, 1.0): give one positive number for each of 3 axes"),
        ((8, 2, (0.0, 1.0)), "spacing is (0.0, 1.0): give one positive number for each of 2 axes"),
        ((((1, 0), (0, 1), (1, 1)),), "rays are 3 directions that enclose nothing: give vectors of 2 numbers all around, none of them 0"),
        ((((1, 0), (0, 1), (0, 0)),), "rays are 3 directions that enclose nothing: give vectors of 2 numbers all around, none of them 0"),
        ((((1, 0), (2, 0), (3, 0)),), "rays are 3 directions that enclose nothing: give vectors of 2 numbers all around, none of them 0"),
    ],
)
def test_rays_that_enclose_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_rays(*arguments)
