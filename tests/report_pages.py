"""What the tests of the report share: reading a page back as a browser does, and small results to make pages of."""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import cache
from html.parser import HTMLParser

import numpy as np
from zoo import paint

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.report.packing import KINDS


class Page(HTMLParser):
    """A page as a browser's parser sees it: elements with their attributes and texts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.inside = [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.elements[-1][2].append(data)

    def all(self, tag, **wanted):
        return [
            (attrs, "".join(texts))
            for name, attrs, texts in self.elements
            if name == tag and all(attrs.get(key.rstrip("_")) == value for key, value in wanted.items())
        ]

    @property
    def meta(self):
        return json.loads(self.all("script", id="meta")[0][1])

    @property
    def columns(self):
        return unpacked(self.meta["columns"], self.all("script", id="columns")[0][1])

    @property
    def pictures(self):
        return [base64.b64decode(text) for _, text in self.all("script", class_="picture")]


def unpacked(entries, text):
    """The columns again, as the browser opens them."""
    raw = zlib.decompress(base64.b64decode(text))
    columns, offset = {}, 0
    for entry in entries:
        kind = np.dtype(KINDS[entry["kind"]]).newbyteorder("<")
        n = entry["length"]
        planes = np.frombuffer(raw, np.uint8, n * kind.itemsize, offset).reshape(kind.itemsize, n)
        values = np.ascontiguousarray(planes.T).reshape(-1).view(kind) if n else np.zeros(0, kind)
        values = np.cumsum(values, dtype=kind) if entry["delta"] else values
        columns[entry["name"]] = np.array(entry["categories"], object)[values] if "categories" in entry else values
        offset += n * kind.itemsize
    assert offset == len(raw)
    return columns


def read_page(path):
    return Page(path.read_text(encoding="utf-8"))


def script_of(text):
    """The one script that may run."""
    return re.search(r"<script>(.*?)</script>", text, re.DOTALL).group(1)


@cache
def families(generations=3, roots=4, life=6, seed=0):
    """Cells that all divide after ``life`` frames, for some generations, with areas, names and costs; and their label film and image."""
    rng = np.random.default_rng(seed)
    frame, parent, place, born = [], [], [], []
    alive = [(-1, np.array([20.0 + 60 * (k // 2), 20.0 + 60 * (k % 2)])) for k in range(roots)]
    for t in range(life * generations):
        after = []
        for mother, where in alive:
            frame.append(t)
            parent.append(mother)
            place.append(where)
            born.append(len(frame) - 1)
            here = len(frame) - 1
            apart = np.array([-6.0, 3.0]) / (1 + t // life)
            if (t + 1) % life == 0:
                after += [(here, where + apart), (here, where - apart)]
            else:
                after.append((here, where + rng.normal(0, 0.2, 2)))
        alive = after
    n = len(frame)
    label = np.concatenate([1 + np.arange(count) for count in np.bincount(frame)])
    names = np.array([f"cell {k:03d}" for k in range(n)], object)
    columns = {"area": rng.uniform(10, 20, n), "name": names, "touched": np.arange(n) % 2 == 0}
    cells = Detections(np.array(frame), np.clip(np.array(place), 3, 96), label, columns)
    cost = np.where(np.array(parent) >= 0, rng.normal(-3, 1.5, n), np.nan)
    forest = Forest(cells, np.array(parent), link_cost=cost)
    labels = paint(forest, (100, 100))
    image = rng.normal(100, 4, labels.shape) + 60 * (labels > 0)
    return forest, image.astype(np.float32), labels
