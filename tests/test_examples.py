"""The examples run as they stand, and the README shows what runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
    done = subprocess.run([sys.executable, "-W", "error", path], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_readme_shows_the_first_example():
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = EXAMPLES[0].read_text(encoding="utf-8").split('"""', 2)[2].lstrip("\n")
    assert shown == code


ONE_BY_ONE = """
import shlex, sys
from lineage.cli import main
for command in sys.argv[1:]:
    sys.argv = shlex.split(command, comments=True)
    print(command)
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            sys.exit(stop.code)
"""


def test_the_commands_of_the_readme_run(tmp_path):
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("lineage ")]
    assert len(commands) >= 4
    asked = [[sys.executable, "-m", *shlex.split(commands[0], comments=True)], [sys.executable, "-c", ONE_BY_ONE, *commands[1:]]]
    for words in asked:  # the others share a process, which loads the libraries once
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
