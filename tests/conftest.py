"""What the tests share: where real films are, if they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lineage import cli, link
from lineage.films import open_film


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real films, from CYTOLINEAGE_DATA; tests that need it skip without."""
    folder = os.environ.get("CYTOLINEAGE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CYTOLINEAGE_DATA does not name a folder of real films")
    return Path(folder)


@pytest.fixture(scope="session")
def linked_hela(data):
    """The silver masks of the first film of HeLa nuclei and what linking makes of them, once for all who ask."""
    folder = data / "ctc" / "Fluo-N2DL-HeLa"
    if not folder.is_dir():
        pytest.skip("there is no ctc/Fluo-N2DL-HeLa in CYTOLINEAGE_DATA")
    labels = open_film(folder / "01_ST" / "SEG", kind="labels")
    return labels, link(labels)


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command in this process: exit code, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lineage", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return stop.value.code, printed.out, printed.err

    return call
