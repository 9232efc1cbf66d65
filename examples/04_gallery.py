"""The pictures of the README, from a simulated film: frames, trees, charts, and what the health check finds."""

import sys
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lineage
from lineage import health, plot

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "gallery")
folder.mkdir(exist_ok=True)
cycle = {"cycle": 22, "cycle_spread": 3, "min_cycle": 14, "miss_rate": 0.01}
film = lineage.simulate(frames=60, cells=8, size=(180, 180), scale=(0.5, 0.5), radius=4.5, speed=0.8, photons=300, seed=8, **cycle)
forest = lineage.link(film.labels, film.image, film.scale, interval=900.0)  # micrometres and seconds

# cells over the film: outlines and the way they came, one colour a lineage
figure = Figure(figsize=(9, 3.2), layout="constrained", dpi=100)
for ax, frame in zip(figure.subplots(1, 3), (4, 32, 59), strict=True):
    plot.tracks_over_frame(forest, film.image[frame], frame, ax, labels_frame=film.labels[frame], tail=20)
plot.save_figure(figure, folder / "frames.png")

# the largest lineages as trees, and everybody's way along x
figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=100)
left, right = figure.subplots(1, 2, width_ratios=(3, 2))
plot.lineage_trees(forest, left, lineages=np.argsort(np.bincount(forest.lineage_id))[-4:].tolist())
plot.space_time(forest, right)
plot.save_figure(figure, folder / "trees.png")

# numbers of the film
figure = Figure(figsize=(9, 2.6), layout="constrained", dpi=100)
for draw, ax in zip((plot.cells_per_frame, plot.displacements, plot.division_timing), figure.subplots(1, 3), strict=True):
    draw(forest, ax)
plot.save_figure(figure, folder / "charts.png")

# two tracks are swapped, a daughter is taken from her mother and a track is cut: the first warnings show where
cells, parent = forest.detections, forest.parent.copy()
steps = np.flatnonzero((cells.frame == 40) & (parent >= 0))
near = np.argsort(((cells.position[steps] - cells.position[steps[5]]) ** 2).sum(1))
near = near[forest.lineage_id[steps[near]] != forest.lineage_id[steps[5]]]
pair = steps[[5, near[0]]]
parent[pair] = parent[pair[::-1]]
parent[np.flatnonzero(parent == forest.divisions[6])[0]] = -1
parent[steps[near[-1]]] = -1
wrong = lineage.Forest(cells, parent)
warnings = health.check(wrong)
print(warnings[["rank", "kind", "frame", "score"]].head(5).to_string(index=False))
figure = Figure(figsize=(9, 4.2), layout="constrained", dpi=100)
for ax, warning in zip(figure.subplots(1, 3), warnings.head(3).itertuples(), strict=True):
    plot.tracks_over_frame(wrong, film.image[warning.frame], warning.frame, ax, labels_frame=film.labels[warning.frame], tail=3)
    y, x = np.clip([warning.y / 0.5, warning.x / 0.5], 36, 143)
    ax.set(xlim=(x - 36, x + 36), ylim=(y + 36, y - 36), title=f"{warning.rank}: {warning.kind}")
    ax.set_xlabel(textwrap.fill(warning.message, 40), fontsize="small")
plot.save_figure(figure, folder / "warnings.png")
print(*sorted(path.name for path in folder.glob("*.png")))
