"""What the tests share: where real films are, if they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lineage import cli


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real films, from CYTOLINEAGE_DATA; tests that need it skip without."""
    folder = os.environ.get("CYTOLINEAGE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CYTOLINEAGE_DATA does not name a folder of real films")
    return Path(folder)


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
