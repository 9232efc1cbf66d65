"""What the tests share: where real films are, if they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real films, from CYTOLINEAGE_DATA; tests that need it skip without."""
    folder = os.environ.get("CYTOLINEAGE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CYTOLINEAGE_DATA does not name a folder of real films")
    return Path(folder)
