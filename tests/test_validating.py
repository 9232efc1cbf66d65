import re

import numpy as np
import pytest
from rich_forests import rich
from test_formats_hostile import XML as GRAPHS
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import FORMATS, read, write
from lineage.formats.validating import validate

HEAD = "id,parent_id,t,y,x\n"
SOUND = HEAD + "1,-1,0,1,1\n2,1,1,1,1.5\n3,1,1,1,9\n"
WRITTEN = [known for known in FORMATS if known.write]


def found(path):
    return [(v.kind, v.frame, v.row, v.message) for v in validate(path)]


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("known", WRITTEN, ids=[known.key for known in WRITTEN])
def test_what_we_write_is_sound(tmp_path, known, name):
    path = tmp_path / f"a{known.endings[0] if known.endings else ''}"
    write(ZOO[name], path, format=known.key)
    assert [v for v in validate(path) if not v.is_warning] == []


@pytest.mark.parametrize(
    ("text", "violations"),
    [
        (SOUND, []),
        (HEAD, []),
        (HEAD + "1,,0,1,1\n", []),
        (HEAD + "1.0,nan,0.0,1e2,-1\n", []),
        (HEAD + "a,-1,0,1,1\n", [("no whole number", 0, 2, "id is 'a'")]),
        (HEAD + "1,-1,0.5,1,1\n", [("no whole number", None, 2, "t is '0.5'")]),
        (HEAD + "1,-1,,1,1\n", [("no whole number", None, 2, "t is nan")]),
        (HEAD + "1,-1,1e999,1,1\n", [("no whole number", None, 2, "t is '1e999'")]),
        (HEAD + "1,b,0,1,1\n", [("no whole number", 0, 2, "parent_id is 'b'")]),
        (HEAD + "1,-1,-2,1,1\n", [("negative frame", -2, 2, "the frame is -2, but frames are counted from 0")]),
        (HEAD + "1,-1,0,nan,1\n", [("no finite number", 0, 2, "y is nan")]),
        (HEAD + "1,-1,0,1,inf\n", [("no finite number", 0, 2, "x is inf")]),
        (HEAD + "1,-1,0,1,here\n", [("no finite number", 0, 2, "x is 'here'")]),
        (HEAD + "1,-1,0,1,1\n1,-1,1,1,1\n", [("duplicate id", 1, 3, "the id 1 has a row already")]),
        (HEAD + "1,-1,0,1,1\n2,7,1,1,1\n", [("unknown parent", 1, 3, "the parent is 7, but no row has this id")]),
        (HEAD + "1,2,1,1,1\n2,-1,1,1,2\n", [("parent not earlier", 1, 2, "the parent 2 is in frame 1, not before")]),
        (
            HEAD + "1,2,0,1,1\n2,1,1,1,1\n",
            [
                ("parent not earlier", 0, 2, "the parent 2 is in frame 1, not before"),
                ("cyclic parent", 0, 2, "the cell 1 is an ancestor of itself"),
                ("cyclic parent", 1, 3, "the cell 2 is an ancestor of itself"),
            ],
        ),
        (
            "id,t,y\n1,0,1\n",
            [
                ("missing column", None, 1, "there is no column parent_id; there are id, t, y"),
                ("missing column", None, 1, "there is no column x; there are id, t, y"),
            ],
        ),
    ],
)
def test_each_fault_of_a_table(tmp_path, text, violations):
    (tmp_path / "a.csv").write_text(text)
    assert found(tmp_path / "a.csv") == violations
    if violations:  # what is found is what reading stumbles over
        with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a.csv[^\n]+$"):
            read(tmp_path / "a.csv")
    else:
        read(tmp_path / "a.csv")


def test_all_faults_of_a_table_at_once_by_row(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD + "1,-1,0,nan,1\n1,-1,-1,1,1\n3,9,2,1,1\n4,3,2,inf,1\n")
    assert [(row, kind) for kind, _, row, _ in found(tmp_path / "a.csv")] == [
        (2, "no finite number"),
        (3, "negative frame"),
        (3, "duplicate id"),
        (4, "unknown parent"),
        (5, "no finite number"),
        (5, "parent not earlier"),
    ]
    first = validate(tmp_path / "a.csv")[0]
    assert str(first) == f"{tmp_path}/a.csv:2: frame 0: no finite number: y is nan"


@pytest.mark.parametrize("name", GRAPHS)
def test_all_faults_of_a_graph_at_once(tmp_path, name):
    cells = [(1, 0, 1, 1), (2, 1, "nan", 1), (3, 1, 1, 2), (4, 2, 1, 3), (5, 2, 1, 4)]
    links = [(1, 2), (1, 2), (2, 4), (3, 4), (2, 3), (3, 5)]
    (tmp_path / name).write_text(GRAPHS[name](cells, links))
    what = "spot" if name == "a.xml" else "node"
    assert [(kind, frame, message) for kind, frame, _, message in found(tmp_path / name)] == [
        ("no finite position", 1, f"{what} 2 lies at [nan, 1.0]"),
        ("parent not earlier", 1, "edge 2 -> 3 goes from frame 1 to frame 1"),
        ("duplicate edge", 1, "edge 1 -> 2 occurs twice"),
        ("two parents", 2, f"{what} 4 has 2 parents: 2, 3"),
    ]
    (tmp_path / name).write_text(GRAPHS[name](cells[:1] + cells[2:], [(1, 3), (3, 5)]))
    assert found(tmp_path / name) == []
    read(tmp_path / name)


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_broken_by_chance_are_refused_by_both(tmp_path, name):
    rng, verdicts = np.random.default_rng(1), set()
    for _ in range(40):
        cells = [(i, int(rng.integers(0, 4)), "inf" if rng.random() < 0.02 else 1, i) for i in range(6)]
        links = [tuple(rng.integers(0, 6, 2).tolist()) for _ in range(int(rng.integers(0, 4)))]
        (tmp_path / name).write_text(GRAPHS[name](cells, links))
        try:
            read(tmp_path / name)
            readable = True
        except ValueError:
            readable = False
        assert readable == (not found(tmp_path / name)), (cells, links)
        verdicts.add(readable)
    assert verdicts == {True, False}


def test_tables_broken_by_chance_are_refused_by_both(tmp_path):
    rng = np.random.default_rng(0)
    words = ["nan", "-1", "7", "x", "1e999", "0.5", "", "3"]
    lines = [row.split(",") for row in (SOUND + "4,2,2,1,1\n5,4,4,2,2\n").splitlines()]
    verdicts = set()
    for _ in range(150):
        changed = [list(line) for line in lines]
        for _ in range(int(rng.integers(1, 3))):
            changed[rng.integers(1, len(lines))][rng.integers(0, 5)] = words[rng.integers(0, len(words))]
        (tmp_path / "a.csv").write_text("".join(",".join(line) + "\n" for line in changed))
        try:
            read(tmp_path / "a.csv")
            readable = True
        except ValueError:
            readable = False
        assert [v for v in validate(tmp_path / "a.csv") if not v.is_warning] == [] if readable else validate(tmp_path / "a.csv"), changed
        verdicts.add(readable)
    assert verdicts == {True, False}


@pytest.mark.parametrize("known", [known for known in WRITTEN if not known.masks], ids=[k.key for k in WRITTEN if not k.masks])
def test_odd_lineages_are_warned_of(tmp_path, known):
    cells = Detections([0, 1, 1, 1, 1], [[1, 1], [2, 2], [3, 3], [3, 3], [4, 4]], [1, 5, 5, 0, 0])
    path = tmp_path / f"a{known.endings[0]}"
    write(Forest(cells, [-1, 0, 0, 0, -1]), path, format=known.key)
    violations = validate(path, format=known.key)
    assert all(v.is_warning for v in violations)
    kinds = {"more than two children", "one label, two cells", "one place, two cells"}
    assert {(v.kind, v.frame) for v in violations} == {(kind, 0 if "children" in kind else 1) for kind in kinds}
    assert [str(v) for v in violations if "label" in v.kind] == [
        f"{path}: frame 1: warning: one label, two cells: cells 1 and 2 share the label 5"
    ]


@pytest.mark.parametrize("known", [known for known in WRITTEN if not known.folder], ids=[k.key for k in WRITTEN if not k.folder])
def test_what_cannot_be_read_is_one_violation(tmp_path, known):
    path = tmp_path / f"a{known.endings[0]}"
    path.write_bytes(b"\x00\xffrubbish\n\n")
    violations = validate(path, format=known.key)
    assert {v.kind for v in violations} <= {"unreadable", "missing column"}
    assert violations
    assert all("\n" not in v.message for v in violations)


def test_random_lineages_are_sound_in_every_format(tmp_path):
    for seed, known in enumerate(WRITTEN):
        path = tmp_path / f"a{seed}{known.endings[0] if known.endings else ''}"
        write(rich(np.random.default_rng(seed)), path, format=known.key)
        assert [str(v) for v in validate(path, format=known.key) if not v.is_warning] == []


def test_no_such_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file or folder: {tmp_path}/a.csv')}$"):
        validate(tmp_path / "a.csv")
