"""The solver alone: your own candidate links and costs in nats, pins, and the certified optimum."""

import numpy as np
import pandas as pd

import lineage
from lineage.candidates import nearest

points = pd.DataFrame({"t": [0, 1, 2, 2], "y": [5.0, 5.5, 4.0, 7.0], "x": [5.0, 5.0, 4.0, 6.0]})
cells = lineage.Detections.from_points(points)
graph = nearest(cells, 3, radius=5.0)  # or lineage.CandidateGraph(cells, source, target)

costs = {  # minus the log-odds of being true: 0 is undecided, negative is worth choosing
    "link": graph.columns["distance"] - 3.0,
    "appear": np.where(cells.frame == 0, 0.0, 4.0),
    "disappear": np.where(cells.frame == 2, 0.0, 4.0),
    "divide": np.full(len(cells), 1.0),
    "select": np.full(len(cells), -1.0),
}
forest = lineage.solve(graph, costs)
print(forest.parent, forest.certificate)

pins = {"divide": {1: 0}}  # "row 1 does not divide"
pinned = lineage.solve(graph, costs, pins=pins, start=forest)  # of a large film only what the pins touch is solved again
print(pinned.parent, pinned.certificate)
