"""Files broken by chance are read, or refused in one line that names them, in bounded time and memory.

CYTOLINEAGE_FUZZ says how many are tried; ``benchmarks/fuzz.py`` tries ten thousand.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fuzzing import complaint, fuzz, mutated, samples

COUNT = int(os.environ.get("CYTOLINEAGE_FUZZ", "360"))
SHARES = 12


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return samples(tmp_path_factory.mktemp("sound"))


def test_the_sound_ones_are_sound(sound):
    assert {known.key for known, _ in sound} >= {"csv", "ctc", "gexf", "geff", "trackmate", "tables"}
    assert [(known.key, complaint(path, key)) for known, path in sound for key in ("", known.key) if complaint(path, key)] == []


@pytest.mark.parametrize("share", range(SHARES))
def test_broken_files_are_refused_in_one_line(tmp_path, sound, share):
    assert list(fuzz(sound, tmp_path, range(share, COUNT, SHARES))) == []


def test_the_judge_is_not_blind(tmp_path, monkeypatch):
    def read(path, format):  # noqa: A002
        raise {
            "lines": ValueError(f"{path}: a\nb"),
            "empty": ValueError(""),
            "nameless": ValueError("wrong"),
            "key": KeyError("a"),
            "slow": TimeoutError("more than 10 s"),
            "fine": ValueError(f"{path}: wrong"),
            "gone": FileNotFoundError(f"no such file: {path}"),
        }[format]

    monkeypatch.setattr("fuzzing.read", read)
    path = Path("a.csv")
    said = {name: complaint(path, name) for name in ("lines", "empty", "nameless", "key", "slow", "fine", "gone")}
    assert [name for name, text in said.items() if not text] == ["fine", "gone"]
    assert said["key"] == "KeyError: 'a'"


def test_mutations_mutate(tmp_path):
    text = b'{"t": [0, 1, 2], "x": 1.5}' * 4
    changed = {mutated(text, np.random.default_rng(seed)) for seed in range(60)}
    assert len(changed) > 50
    assert any(len(data) > 10 * len(text) for data in changed)
    shutil.rmtree(tmp_path)
