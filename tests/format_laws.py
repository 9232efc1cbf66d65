"""What every format module owes: what it says it holds comes back, and files that are damaged give one line that names them."""

from __future__ import annotations

import numpy as np
from rich_forests import differing, rich

from lineage.formats.holding import losses


def check_that_what_is_held_comes_back(write, read, path, holds, *, seeds=40):
    """Write and read random forests: what differs is what the format says it does not hold, no more and no less."""
    for seed in range(seeds):
        forest = rich(np.random.default_rng(seed))
        write(forest, path)
        assert differing(forest, read(path)) == {loss.facet for loss in losses(forest, holds)}, seed
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def check_that_damage_is_one_line(read, path, content, *, seeds=60):
    """Change, cut and repeat pieces of a good file: it is read, or a ValueError of one line names the file."""
    rng = np.random.default_rng(1)
    for _ in range(seeds):
        data = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            a, b = sorted(rng.integers(0, len(data) + 1, 2).tolist())
            b = min(b, a + 40)
            kind = rng.integers(0, 4)
            if kind == 0:
                del data[a:b]
            elif kind == 1:
                data[a:a] = data[a:b]
            elif kind == 2 and a < len(data):
                data[a] = int(rng.integers(0, 256))
            else:
                del data[a:]
        path.write_bytes(bytes(data))
        try:
            read(path)
        except ValueError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
