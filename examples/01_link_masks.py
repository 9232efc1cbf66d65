"""From label masks to lineage trees, and how good they are."""

import lineage

film = lineage.simulate(frames=30, cells=12, size=(220, 220), seed=1, shuffle_labels=True)

forest = lineage.link(film.labels, image=film.image)  # any array (T, [Z,] Y, X); nothing to tune
print(forest.certificate)  # objective, lower bound, gap: how far from the optimum it can be at most
print(forest.detections.columns["link_confidence"])  # how probable the link of each cell to its parent is
print(forest.tracklets().head())  # a pandas table: start, end, generation, fate
print(forest.divisions)  # rows of the cells that divide

lineage.write(forest, "lineages.csv")  # or .gexf for Gephi, or a folder for the Cell Tracking Challenge
print(lineage.read("lineages.csv").to_dataframe().head())

scores = lineage.evaluate((forest, film.labels), (film.truth, film.labels))
print({name: scores[name] for name in ("TRA", "LNK", "CHOTA", "division_f1")})
