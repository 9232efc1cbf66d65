"""Microscopes' own files through bioio: here a stand-in for it, which answers as bioio 3 does."""

from __future__ import annotations

import re
import sys
import types
from datetime import timedelta

import numpy as np
import pytest

from lineage.films import open_film

DEEP = np.arange(2 * 2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 2, 3, 4, 5)  # (T, C, Z, Y, X)


class Lazy:
    def __init__(self, array):
        self.array = array

    def __getitem__(self, place):
        return Lazy(self.array[place])

    def compute(self):
        return self.array


def stand_in(film, *, scenes=("a",), sizes=(2.0, 0.5, 0.25), interval=timedelta(seconds=90), broken=""):
    """A class that answers as ``bioio.BioImage`` would for this film."""

    class BioImage:
        def __init__(self, path):
            if broken == "opening":
                raise RuntimeError(f"BioImage does not\nsupport {path}")
            self.scenes, self.shape, self.dtype = scenes, film.shape, film.dtype
            self.dims = types.SimpleNamespace(order="TCZYX")
            self.physical_pixel_sizes = types.SimpleNamespace(**dict(zip("ZYX", sizes, strict=True)))
            self.time_interval = interval

        def get_image_dask_data(self, order, **fixed):
            if broken == "reading":
                raise OSError("a bad block")
            picked = film[tuple(fixed.get(axis, slice(None)) for axis in "TCZYX")]
            left = [axis for axis in "TCZYX" if axis not in fixed]
            return Lazy(picked.transpose([left.index(axis) for axis in order]))

    return types.SimpleNamespace(BioImage=BioImage)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"x")
    return tmp_path / "a.czi"


def refused(path, message, **options):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        open_film(path, **options)


def test_a_film_with_depth_and_channels(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", stand_in(DEEP))
    film = open_film(path, channel=1)
    assert (film.shape, film.dtype, film.scale, film.interval, film.name) == ((2, 3, 4, 5), np.uint16, (2.0, 0.5, 0.25), 90.0, "a.czi")
    for t in range(2):
        np.testing.assert_array_equal(film[t], DEEP[t, 1])
    refused(path, f"{path} has 2 channels: choose one with channel=0 to channel=1 (--channel)")


def test_one_plane_is_no_depth(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", stand_in(DEEP[:, :1, :1], sizes=(None, 0.5, None), interval=None))
    film = open_film(path)
    assert (film.shape, film.scale, film.interval) == ((2, 4, 5), (0.5, 1.0), None)
    np.testing.assert_array_equal(film[1], DEEP[1, 0, 0])


def test_planes_that_are_frames(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", stand_in(DEEP[:1, :1]))
    film = open_film(path, axes="CCTYX".replace("CC", "__"))
    assert film.shape == (3, 4, 5)
    np.testing.assert_array_equal(film[2], DEEP[0, 0, 2])


def test_what_cannot_be_read(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", stand_in(DEEP, scenes=("a", "b", "c", "d", "e")))
    refused(path, f"{path} holds 5 scenes (a, b, c, d): save each as a film of its own")
    monkeypatch.setitem(sys.modules, "bioio", stand_in(DEEP, broken="opening"))
    refused(path, f"{path} cannot be read through bioio-czi (pip install cytolineage[bioio]): BioImage does not support {path}")
    monkeypatch.setitem(sys.modules, "bioio", stand_in(DEEP[:, :1], broken="reading"))
    refused(path, f"{path}: frame 0 cannot be read: a bad block")


@pytest.mark.parametrize("name", ["a.nd2", "a.CZI", "a.lif"])
def test_without_bioio(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "bioio", None)
    (tmp_path / name).write_bytes(b"x")
    refused(tmp_path / name, f"{tmp_path}/{name} is read through bioio, which is not installed: pip install cytolineage[bioio]")
