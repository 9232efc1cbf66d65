"""Page: one HTML file out of the template, the style, the scripts and the data; nothing in the data can act as any of these."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

SCRIPTS = ("uPlot.iife.min.js", "model.js", "colours.js", "pictures.js", "film.js", "tree.js", "charts.js", "panels.js", "app.js")
STYLES = ("uPlot.min.css", "report.css")


def page_of(title: str, meta: dict[str, Any], columns: str, pictures: Sequence[str]) -> Iterator[str]:
    """The parts of the file, in turn.

    The browser is told (Content-Security-Policy) to run this one script and to use this one style, by their hashes, and to fetch
    nothing at all; all data are texts in elements that are no script to it, escaped so that they cannot end these elements.

    Args:
        title: Of the page.
        meta: JSON-able values.
        columns: Base64 of the packed columns.
        pictures: Base64 of the pictures.
    """
    script, style = _script(), "\n".join(map(_asset, STYLES))
    allowed = f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    parts = {"policy": policy, "title": html.escape(title), "style": style, "script": script, "meta": safe_json(meta), "columns": columns}
    for k, piece in enumerate(re.split(r"\{\{(\w+)\}\}", _asset("report.html"))):
        if k % 2 == 0:
            yield piece
        elif piece == "pictures":
            yield from (f'<script type="text/plain" class="picture">{text}</script>\n' for text in pictures)
        else:
            yield parts[piece]


def safe_json(value: object) -> str:
    """JSON that may stand in a script element: nothing in it ends the element, opens a comment, or ends a line of script.

    What JSON does not know (paths, NumPy's numbers) becomes text.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _script() -> str:
    """All scripts as one: the library, then ours in a room of their own."""
    library, *ours = map(_asset, SCRIPTS)
    body = "\n".join(ours)
    return f'{library}\n(() => {{\n"use strict";\n{body}\n}})();\n'


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
