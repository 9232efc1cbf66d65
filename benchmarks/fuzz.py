"""Break sound files of every format by chance, ten thousand of them, and read each: only one-line refusals may come out.

    python benchmarks/fuzz.py [COUNT]

Files of other tools are tried too when CYTOLINEAGE_DATA names a folder with them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from conditions import conditions

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzzing import fuzz, samples


def main() -> None:
    """Print what was found."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(conditions())
    real = Path(os.environ.get("CYTOLINEAGE_DATA", "")) / "formats"
    with tempfile.TemporaryDirectory() as place:
        sound = samples(Path(place), real if real.is_dir() else None)
        began = time.perf_counter()
        found = list(fuzz(sound, Path(place), range(count)))
        seconds = time.perf_counter() - began
    for key, seed, said in found:
        print(f"{key}, seed {seed}: {said}")
    formats = Counter(known.key for known, _ in sound)
    print(f"{count} broken files from {len(sound)} sound ones of {len(formats)} formats in {seconds:.0f} s: {len(found)} complaints")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
