"""The command ``lineage``: every command is a public function that one could call from a notebook."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lineage import __version__

from . import comparing, diagnosing, files, linking, making, models, restoring, seeing, training, weighing
from .shared import app

__all__ = ["app", "comparing", "diagnosing", "files", "linking", "main", "making", "models", "restoring", "seeing", "training", "weighing"]

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # of click, or of the copy of click that newer typers carry


def main() -> None:
    """Run the command; what goes wrong is one line on standard error and the exit code 2."""
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        message: str = error.format_message()  # type: ignore[attr-defined]
        sys.exit(_say(f"lineage: {_one_line(message)} (try lineage --help)", 2))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(_say("lineage: interrupted; nothing was half-written", 130))
    except (ValueError, OSError, MemoryError) as error:
        sys.exit(_say(f"lineage: {_one_line(str(error)) or type(error).__name__}", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _one_line(message: str) -> str:
    return " ".join(message.split())


@app.callback(invoke_without_command=True)
def _root(context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        print(f"cytolineage {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
