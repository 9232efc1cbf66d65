"""Compare the methods of instance segmentation on the same pictures, or time a shipped model; see `segmenting.py`.

python benchmarks/segmentation.py --help
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    from segmenting import main

    sys.exit(main())
elif __name__ == "segmentation":  # a script beside this file wants the package of the same name: step aside
    here, before = Path(__file__).parent, list(sys.path)
    sys.path[:] = [place for place in before if Path(place).resolve() != here.resolve()]
    del sys.modules["segmentation"]
    importlib.import_module("segmentation")
    sys.path[:] = before
