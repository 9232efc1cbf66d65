"""``python -m lineage``: the command ``lineage``."""

from .cli import main

main()
