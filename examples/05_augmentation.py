"""What a network is shown of one picture: the same cells turned, zoomed, bent, brighter, noisier; labels follow, seeds repeat."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lineage
from segmentation.augment import Shade, Warp, look
from segmentation.journal import outlined

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "gallery")
folder.mkdir(exist_ok=True)
film = lineage.simulate(frames=20, cells=14, size=(150, 150), radius=8, photons=300, seed=3)
image, labels = film.image[19].astype(np.float32), film.labels[19]
image = (image - image.min()) / np.ptp(image)

still = Shade(gain=(1, 1), gamma=(1, 1), haze=0, noise=0, blur=0)
kinds = {  # each row changes one thing, the last all, as in a training
    "flip, turn": (Warp(plain=1), still),
    "zoom, rotate": (Warp(plain=0, bend=0), still),
    "bend (x 3)": (Warp(plain=0, spread=0, bend=6), still),
    "brightness": (Warp(plain=1), Shade(noise=0, blur=0)),
    "noise, blur": (Warp(plain=1), Shade(gain=(1, 1), gamma=(1, 1), noise=0.2, blur=2.5)),
    "training": (Warp(), Shade()),
}
figure = Figure(figsize=(8.2, 8.4), layout="constrained", dpi=90)
panels = figure.subplots(len(kinds), 6)
for row, (name, (warp, shade)) in zip(panels, kinds.items(), strict=True):
    for seed, axes in enumerate(row):
        rng = np.random.default_rng([seed, 1])
        places = warp.places(centre=(75, 75), size=(96, 96), rng=rng)
        if seed == 0:  # as it is
            places = np.indices((96, 96)) + 27.0
        patch, truth = look(image, places, 1), look(labels, places, 0)
        patch = shade(patch, rng) if seed else patch
        axes.imshow(outlined(patch, truth, limits=(0, 1)), interpolation="nearest")
        axes.set_axis_off()
    row[0].set_title(f"{name}", loc="left", fontsize="small")
figure.suptitle("left: the picture as it is; then five seeds", fontsize="small")

# a stack with voxels four times as high as wide: turned in its plane only, and bent less across the planes
ball = np.linalg.norm((np.indices((9, 48, 48)) - np.array([4, 24, 24])[:, None, None, None]) * [[[[4]]], [[[1]]], [[[1]]]], axis=0) < 14
bent = Warp(plain=0, anisotropy=4)((ball * 1.0, ball), (1, 0), centre=(4, 24, 24), size=(9, 48, 48), rng=np.random.default_rng(0))
print("largest difference of a stack and its labels after the same warp:", round(float(np.abs(bent[0] - bent[1]).max()), 3))
figure.savefig(folder / "augmentation.png")
print("augmentation.png")
