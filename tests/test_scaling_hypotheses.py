"""Films in pieces whose segmentation is chosen by the solver: the same lineages as whole, and nothing done twice."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from test_scaling import contents, dates

import lineage
from lineage import pipeline
from lineage.films import open_film
from lineage.films.zarr_writing import create_image_zarr, write_frame
from lineage.pieces import Resources
from lineage.pipeline import running
from lineage.settings import Settings
from lineage.simulation import simulate
from lineage.stretches.plan import A_RIVAL, FREE

IN_PIECES = Resources()
CHOOSING = Settings(segment="nuclei-2d", threads=1)


@pytest.fixture(scope="module", autouse=True)
def unseen():
    """No pictures of the results are drawn, which takes longer than all else here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "write_overview", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def film():
    """A short film of a few crowded cells, dim and noisy enough to leave doubt."""
    made = simulate(frames=6, cells=12, size=(80, 96), radius=8, cycle=8, cycle_spread=2, seed=5)
    noise = np.random.default_rng(0).normal(0, 25, made.image.shape)
    return np.clip(made.image + noise, 0, 65535).astype(np.uint16)


@pytest.fixture(scope="module")
def place(film, tmp_path_factory):
    """The film on disk, and what one process finds in pieces (``known``)."""
    place = tmp_path_factory.mktemp("choosing")
    create_image_zarr(place / "film.zarr", film.shape, (0.5, 0.5), 60.0)
    for t, image in enumerate(film):
        write_frame(place / "film.zarr", t, image)
    track(place, "known")
    return place


def track(place, out, settings=CHOOSING, resources=IN_PIECES):
    return pipeline.run(place / "film.zarr", place / out, settings=settings, resources=resources).forest


def changed(place, before):
    """What was written since."""
    return {str(path) for path, date in dates(place / "known.pieces").items() if before.get(path) != date}


def test_what_is_chosen_in_pieces_is_what_is_chosen_in_the_whole(place):
    whole, done = track(place, "whole", resources=None), track(place, "known")
    counted = done.record["hypotheses"]
    assert counted == whole.record["hypotheses"]
    assert counted["segments"] > counted["chosen"] == len(done)
    for column in ("parent", "selected"):
        np.testing.assert_array_equal(getattr(done, column), getattr(whole, column))
    for column, values in whole.detections.columns.items():  # networks round otherwise on one thread
        np.testing.assert_allclose(done.detections.columns[column], values, rtol=1e-3, err_msg=column)
    masks = open_film(place / "known" / "labels.zarr", kind="labels")
    labels = open_film(place / "whole" / "ctc")
    for t in range(len(masks)):
        np.testing.assert_array_equal(masks[t] > 0, labels[t] > 0)
        np.testing.assert_array_equal(np.unique(masks[t])[1:], np.sort(done.detections.label[done.detections.frame == t]))


def test_nothing_is_done_twice_and_what_was_lost_is_made_again_alone(place):
    first, made = contents(place / "known"), dates(place / "known.pieces")
    track(place, "known")
    assert (changed(place, made), contents(place / "known") == first) == (set(), True)
    (place / "known.pieces" / "labels.zarr" / "0" / "c" / "5" / "0" / "0").unlink()
    (place / "known.pieces" / "segments" / "000002.npz").unlink()
    track(place, "known")
    assert changed(place, made) == {
        *("labels.zarr/0/c/5/0/0", "painted/000005.npz"),
        *("frames/000002.npz", "segments/000002.npz", "painted/000002.npz", "labels.zarr/0/c/2/0/0"),
    }
    assert contents(place / "known") == first


def test_one_segmentation_and_several_may_take_turns(place):
    for kind in ("known", "known.pieces"):
        shutil.copytree(place / kind, place / kind.replace("known", "turns"))
    single = CHOOSING.replaced({"hypotheses": False})
    track(place, "single", single)
    for settings, same in ((single, "single"), (CHOOSING, "known")):
        track(place, "turns", settings)
        assert contents(place / "turns") == contents(place / same)


def test_stretches_choose_as_the_whole_does(place):
    """With less memory the film falls into stretches; choices are bound by the same sets, and the certificate is of the whole."""
    settings = CHOOSING.replaced({"overlap": 1, "max_gap": 0})
    whole = track(place, "one", settings)
    segments = whole.record["hypotheses"]["segments"]
    little = Resources()
    object.__setattr__(little, "memory", FREE + A_RIVAL * (segments * 3 // 4))  # less than users may ask for
    done = track(place, "out", settings, little)
    assert len(done.record["stretches"]) == len(list((place / "out.pieces" / "links").glob("*.npz"))) > 1
    assert (done.certificate.status, done.record["hypotheses"]["sets"]) == ("optimal", whole.record["hypotheses"]["sets"])
    kept, meant = (set(zip(f.detections.frame.tolist(), f.detections.label.tolist(), strict=True)) for f in (done, whole))
    assert len(kept & meant) > 0.95 * len(kept | meant)
    masks = open_film(place / "out" / "labels.zarr", kind="labels")
    assert {(t, k) for t in range(len(masks)) for k in np.unique(masks[t])[1:].tolist()} == kept
    sure = done.detections.columns["link_confidence"]
    np.testing.assert_array_equal(np.isfinite(sure), done.parent >= 0)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes on one core")
def test_workers_choose_the_same_to_the_byte(place):
    pytest.importorskip("distributed", reason="extra [dask] is not installed")
    track(place, "spread", resources=replace(IN_PIECES, workers=2))
    assert contents(place / "spread") == contents(place / "known")


def test_frames_that_are_never_whole_are_segmented_once(place, monkeypatch):
    monkeypatch.setattr(lineage.arrays, "LARGE", 80 * 96 - 1)
    says = "frames of shape (80, 96) are segmented part by part, once: leave hypotheses out"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        track(place, "large", CHOOSING.replaced({"hypotheses": True}))
    assert not (place / "large").exists()
    assert "hypotheses" not in track(place, "large").record


def test_a_changed_frame_is_looked_at_again_alone(place, film):
    made, image = dates(place / "known.pieces"), film[4].copy()
    image[:30] = image[30]
    write_frame(place / "film.zarr", 4, image)
    track(place, "known")
    again = {name for name in changed(place, made) if name.startswith(("frames", "segments"))}
    assert again == {"frames/000004.npz", "segments/000004.npz"}
    track(place, "fresh")
    assert contents(place / "known") == contents(place / "fresh")
    write_frame(place / "film.zarr", 4, film[4])
