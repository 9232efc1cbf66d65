"""Classes of pixels instead of single cells: semantic segmentation as a decoder."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.special import softmax
from torch import Tensor

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Grid
from segmentation.losses import CrossEntropy, Dice, Focal, Loss, Sum, balance
from segmentation.targets import check_labels

LOSSES = ("entropy", "dice", "focal", "entropy+dice", "focal+dice")


@dataclass(frozen=True)
class Classes:
    """Says of every pixel to which of several classes it belongs, e.g. background, nucleus, membrane.

    Label pictures hold class numbers 0, 1, ..., not cell numbers; 0 is the background.

    Args:
        names: of the classes, the background first; at least two.
        punish: what the network is punished for: "entropy", "dice", "focal", "entropy+dice" or "focal+dice".
        weights: how much a pixel of each class counts in "entropy" and "focal"; `balanced` finds them from label pictures.
            Empty: all alike.
        gamma: of "focal"; higher counts easy pixels less.
        favour: factor on the probability of every class but the background before the likeliest is taken; above 1 finds more.
    """

    names: tuple[str, ...] = ("background", "foreground")
    punish: str = "entropy+dice"
    weights: tuple[float, ...] = ()
    gamma: float = 2.0
    favour: float = 1.0

    grid: ClassVar[Grid] = {"favour": (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)}
    labels_are: ClassVar[str] = "classes"  # numbers with a meaning, which nobody may give anew

    def __post_init__(self) -> None:
        for name in ("names", "weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # lists when they come from a file
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise ValueError(f"names are {self.names}: give at least two different classes, the background first")
        if self.punish not in LOSSES:
            raise ValueError(f"punish is {self.punish!r}: give one of {', '.join(LOSSES)}")
        if len(self.weights) not in (0, len(self.names)) or not all(0 <= w < np.inf for w in self.weights):
            raise ValueError(f"weights are {self.weights}: give {len(self.names)} numbers of at least 0, one a class, or none")
        if not 0 < self.favour < np.inf:
            raise ValueError(f"favour is {self.favour}: give a finite number above 0")

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network must say of every pixel: how likely each class is."""
        return self.names

    def balanced(self, labels: Iterable[IntArray]) -> "Classes":
        """Weight the classes by how rare they are (`segmentation.losses.balance`); gives a new decoder.

        Args:
            labels: pictures of class numbers, ([Z,] Y, X); below 0: unknown.
        """
        return replace(self, weights=balance(labels, len(self.names)))

    def check(self, labels: IntArray) -> None:
        """Refuse labels that are no numbers of these classes.

        Raises:
            ValueError: a number is too high.
        """
        if labels.size and labels.max() >= len(self.names):
            raise ValueError(
                f"labels hold the number {labels.max()}: give class numbers 0..{len(self.names) - 1} for {', '.join(self.names)}"
            )

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn class numbers into what the network is compared with.

        Args:
            labels: ([Z,] Y, X) class numbers; < 0 unknown.

        Returns:
            float32 (1, [Z,] Y, X): the number of the class, -1 where unknown.
        """
        check_labels(labels)
        self.check(labels)
        return np.maximum(labels, -1).astype(np.float32)[None]

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Say how far the network is off, by what `punish` names.

        Args:
            answers: (n, len(names), [Z,] Y, X) logits.
            wanted: (n, 1, [Z,] Y, X) class numbers, below 0 where unknown.
        """
        parts: dict[str, Loss] = {
            "entropy": CrossEntropy(self.weights, exclusive=True),
            "focal": Focal(self.gamma, self.weights, exclusive=True),
            "dice": Dice(exclusive=True),
        }
        return Sum(tuple((1.0, parts[name]) for name in self.punish.split("+")))(answers, wanted)

    def read(self, answers: FloatArray) -> FloatArray:
        """Turn logits into probabilities that add up to 1.

        Args:
            answers: (len(names), [Z,] Y, X) logits.

        Returns:
            float32, same shape, 0..1.
        """
        return np.asarray(softmax(answers, 0), np.float32)

    def __call__(self, said: FloatArray) -> IntArray:
        """Take the likeliest class of every pixel.

        Args:
            said: (len(names), [Z,] Y, X), 0..1.

        Returns:
            int32 class numbers ([Z,] Y, X); on a tie the class named first.
        """
        if said.ndim not in (3, 4) or len(said) != len(self.names):
            raise ValueError(f"probabilities have shape {said.shape}: give ({len(self.names)}, [Z,] Y, X)")
        if self.favour == 1:
            return said.argmax(0).astype(np.int32)
        likeliest = said[1:].argmax(0) + 1
        return np.where(said[1:].max(0) * self.favour > said[0], likeliest, 0).astype(np.int32)


def class_scores(pairs: Iterable[tuple[IntArray, IntArray]], names: tuple[str, ...]) -> dict[str, float]:
    """Score class pictures: Dice and IoU of every class over all pixels of all pictures.

    Args:
        pairs: (truth, result) class numbers; truth < 0 is left out.
        names: of the classes, the background first.

    Returns:
        `dice_<name>` and `iou_<name>`, 1 where a class neither is nor was found; and `dice_mean`, `iou_mean` over all classes but
        the background.
    """
    classes = len(names)
    joint = np.zeros((classes, classes), np.int64)  # true class, found class
    for truth, result in pairs:
        if truth.shape != result.shape:
            raise ValueError(f"truth has shape {truth.shape} and result {result.shape}: give one shape")
        known = truth >= 0
        joint += np.bincount(truth[known].astype(np.int64) * classes + result[known], minlength=classes**2).reshape(classes, classes)
    both, size = joint.diagonal(), joint.sum(0) + joint.sum(1)
    dice = np.where(size > 0, 2 * both / np.maximum(size, 1), 1.0)
    iou = dice / (2 - dice)
    table = {f"{what}_{name}": float(v) for what, values in (("dice", dice), ("iou", iou)) for name, v in zip(names, values, strict=True)}
    return table | {"dice_mean": float(dice[1:].mean()), "iou_mean": float(iou[1:].mean())}
