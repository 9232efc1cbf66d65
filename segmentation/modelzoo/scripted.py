"""A TorchScript network as a network of this house: what tiles need to know of it, and sides that it takes (needs torch)."""

import io
import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from segmentation.modelzoo.description import Tensor as Described

_REACH = 7  # steps that a U-Net with two 3-convolutions a level sees in each direction


@dataclass(frozen=True)
class ScriptedConfig:
    """What is known of the shape of a foreign network; it stands where `UNetConfig` stands.

    Args:
        dims: number of spatial axes.
        inputs: channels of the picture.
        outputs: channels of the answer.
        least: smallest side that the network takes per axis, pixels.
        divisors: sides grow by multiples of these, pixels.
        halos: how far an output pixel sees per axis, pixels.
        width: features on the finest level, for the estimate of memory.
    """

    dims: int
    inputs: int
    outputs: int
    least: tuple[int, ...]
    divisors: tuple[int, ...]
    halos: tuple[int, ...]
    width: int = 64
    padding: str = "same"

    @property
    def margins(self) -> tuple[int, ...]:
        """By how many pixels per axis the answer is smaller than the picture: not at all."""
        return (0,) * self.dims

    def sides(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Give the smallest input that the network takes and that covers this shape.

        Args:
            shape: spatial shape ([Z,] Y, X), pixels.
        """
        return tuple(
            least + max(0, -(-(length - least) // step) * step)
            for length, least, step in zip(shape, self.least, self.divisors, strict=True)
        )


class ScriptedNetwork(nn.Module):
    """A TorchScript module that takes pictures of any side: they are mirrored up to one that it knows, and the answer is cut.

    Args:
        module: takes and gives one tensor (n, c, [Z,] Y, X).
        config: what is known of it.
    """

    def __init__(self, module: nn.Module, config: ScriptedConfig) -> None:
        super().__init__()
        self.module, self.config = module, config

    def forward(self, picture: Tensor) -> Tensor:
        """Answer for every pixel of a picture (n, inputs, [Z,] Y, X)."""
        shape = picture.shape[2:]
        more = [wanted - side for wanted, side in zip(self.config.sides(shape), shape, strict=True)]
        rim = list(itertools.chain.from_iterable((0, extra) for extra in reversed(more)))
        answer = self.module(functional.pad(picture, rim, mode="replicate") if any(rim) else picture)
        if isinstance(answer, (list, tuple)) and len(answer) == 1:
            answer = answer[0]
        wanted = (picture.shape[0], self.config.outputs, *self.config.sides(shape))
        if not isinstance(answer, Tensor) or tuple(answer.shape) != wanted:
            got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise ValueError(f"the network of the package answers {got}: {wanted} is described")
        for axis, side in enumerate(shape, 2):
            answer = answer.narrow(axis, 0, side)
        return answer.float()


def scripted(content: bytes, picture: Described, answer: Described, name: str) -> ScriptedNetwork:
    """Load a TorchScript network.

    TorchScript is a programme for torch's own interpreter. It is not Python and cannot call what is installed here, but it computes
    what its maker wanted, with any of torch's operations (some of which read files), in any time and memory: it is trusted like
    a programme. A state dict is not; see `segmentation.checkpoints`.

    Args:
        content: the bytes of the file.
        picture: the described input.
        answer: the described output.
        name: of the file, for messages.

    Raises:
        ValueError: no TorchScript, or a network for pictures of one size only, or one whose answer has another size.
    """
    if any(step == 0 for step in picture.step):
        sides = " x ".join(str(side) for side in picture.least)
        raise ValueError(f"{name} takes pictures of {sides} pixels only: networks whose sides can grow are used here")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch writes another format by now; packages hold this one
            module = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, EOFError, OSError) as error:
        raise ValueError(f"{name} cannot be read as TorchScript: {' '.join(str(error).split())[:160]}") from None
    config = ScriptedConfig(
        dims=len(picture.space),
        inputs=len(picture.channels),
        outputs=len(answer.channels),
        least=picture.least,
        divisors=picture.step,
        halos=tuple(halo or _REACH * step for halo, step in zip(answer.halo, picture.step, strict=True)),
    )
    return ScriptedNetwork(module.eval(), config)
