"""Points in three dimensions, with voxels that are no cubes."""

import lineage

film = lineage.simulate(frames=12, cells=10, size=(16, 96, 96), seed=2)  # scale (2, 1, 1): planes are twice as far apart
table = film.truth.to_dataframe()[["t", "z", "y", "x"]]  # a table of points, as from a spot detector

cells = lineage.Detections.from_points(table)
forest = lineage.link(cells)
print(forest.life_table().head())
print(forest.record["film"]["step"], "is how far a cell moves along each axis from frame to frame")

scores = lineage.evaluate((forest, None), (film.truth, None))
print({name: scores[name] for name in ("edge_f1", "division_f1", "complete_lineages")})
