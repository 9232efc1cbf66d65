"""From the weights of one task to those of another: new inputs, new outputs, frozen and slow parts (needs torch)."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from segmentation import journal
from segmentation.arrays import AnyArray, IntArray
from segmentation.checkpoints import fill, read_tensors
from segmentation.decoders.interface import Decoder
from segmentation.patches import Feed, Pair
from segmentation.tuning import judged
from segmentation.unet import UNet, UNetConfig

Freeze = str | int | Sequence[str]
PARTS = ("encoder", "decoder", "all but head")
SHOWN = 3  # pictures in examples.png


def adapted(network: UNet, rows: Sequence[int | None], *, inputs: int, seed: int) -> UNet:
    """Copy a network for other channels; what fits keeps its weights.

    Args:
        network: stays as it is.
        rows: for each output of the new network the output of the old one that says the same; None: begins at random.
        inputs: channels of the picture. When all of them show what the old ones showed, the new network answers as the old one:
            each new channel has the sum of the old weights, divided by the number of new channels.
        seed: of the random weights.
    """
    if not isinstance(network, UNet):
        raise ValueError(f"the network is a {type(network).__name__}: only a U-Net of ours can be trained")
    old = network.config
    if inputs == old.inputs and list(rows) == list(range(old.outputs)):
        return copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = UNet(replace(old, inputs=inputs, outputs=len(rows)))
    first = next(name for name, weights in network.named_parameters() if weights.ndim > 1)
    kept = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items() if not name.startswith("head.")}
    if inputs != old.inputs:
        kept[first] = (kept[first].sum(1, keepdim=True) / inputs).expand(-1, inputs, *kept[first].shape[2:])
    head = {name: tensor.clone() for name, tensor in made.state_dict().items() if name.startswith("head.")}
    for name, tensor in head.items():
        for new, row in enumerate(rows):
            if row is not None:
                tensor[new] = network.state_dict()[name][row].cpu()
    made.load_state_dict(kept | head)
    return made.eval()


def matching(old: Sequence[str], new: Sequence[str], *, head: str = "same") -> list[int | None]:
    """Say which old output each new one can begin with: the one of the same name.

    Args:
        old: names of what the network says now.
        new: names of what it shall say.
        head: "same", or "new": begin all of them at random.
    """
    if head not in ("same", "new"):
        raise ValueError(f"head is {head!r}: give 'same' or 'new'")
    return [list(old).index(name) if name in old and head == "same" else None for name in new]


def few(sources: Sequence[Sequence[Pair]], most: int = 8) -> list[Pair]:
    """Take some pairs of each source, evenly from its beginning to its end.

    Args:
        sources: collections of (picture, labels) pairs.
        most: pairs in all, but at least one of each source.
    """
    share = max(most // max(len(sources), 1), 1)
    return [source[k] for source in sources for k in range(0, len(source), max(-(-len(source) // share), 1))]


def blocks(network: nn.Module) -> list[str]:
    """Name the blocks of a U-Net in the order in which a picture passes them.

    Args:
        network: a U-Net.

    Returns:
        "down.0" (the finest), "down.1", ..., "up.1", "up.0" (the finest), "head".
    """
    names = list(dict.fromkeys(_block_of(name) for name, _ in network.named_parameters()))
    down, up = ([name for name in names if name.startswith(part)] for part in ("down.", "up."))
    return [*down, *sorted(up, key=lambda name: -int(name.split(".")[1])), *(name for name in names if name not in {*down, *up})]


def frozen_blocks(network: nn.Module, freeze: Freeze) -> list[str]:
    """Say which blocks are meant.

    Args:
        network: a U-Net.
        freeze: "encoder", "decoder", "all but head", a block such as "down.0", several of these (also in one string with
            commas), or the number of blocks from the picture on that stay as they are.

    Raises:
        ValueError: no such block.
    """
    names = blocks(network)
    words = [word.strip() for word in freeze.split(",")] if isinstance(freeze, str) else freeze
    if isinstance(words, Sequence) and len(words) == 1 and words[0].isdecimal():
        words = int(words[0])
    if isinstance(words, int):
        if not 0 <= words < len(names):
            raise ValueError(f"freeze is {words}: give a number of blocks in 0..{len(names) - 1}")
        return names[:words]
    down, up = ([name for name in names if name.startswith(part)] for part in ("down.", "up."))
    meant = {"encoder": down, "decoder": up, "all but head": names[:-1]} | {name: [name] for name in names}
    unknown = [word for word in words if word and word not in meant]
    if unknown:
        raise ValueError(f"freeze names {unknown[0]!r}: give a number, {', '.join(PARTS)}, or some of {', '.join(names)}")
    found = {name for word in words if word for name in meant[word]}
    return [name for name in names if name in found]


def freeze_blocks(network: nn.Module, freeze: Freeze) -> None:
    """Keep some blocks as they are in a training, and let all others learn.

    Args:
        network: changed in place: its weights are marked.
        freeze: see `frozen_blocks`.
    """
    still = set(frozen_blocks(network, freeze))
    for name, weights in network.named_parameters():
        weights.requires_grad_(_block_of(name) not in still)


def rate_factors(network: nn.Module, fade: float) -> dict[str, float]:
    """Slow the learning of early blocks, which know what all pictures have in common.

    Howard and Ruder, "Universal language model fine-tuning for text classification", 2018.

    Args:
        network: a U-Net.
        fade: factor of the learning rate from one block to the one before it, in 0..1; 1: all learn alike.

    Returns:
        Name of each weight -> factor.
    """
    if not 0 < fade <= 1:
        raise ValueError(f"fade is {fade}: give a number above 0, at most 1")
    back = {name: distance for distance, name in enumerate(reversed(blocks(network)))}
    return {name: fade ** back[_block_of(name)] for name, _ in network.named_parameters()}


def check_size(feed: Feed, config: UNetConfig) -> None:
    """Refuse patches that the network cannot take.

    Args:
        feed: gives the size of the patches.
        config: of the network.
    """
    size = feed.size(config.dims)
    if not config.fits(size):
        raise ValueError(f"side is {feed.side}: the network takes multiples of {config.divisors} pixels, for example {config.sides(size)}")
    bottom = (n // divisor for n, divisor in zip(size, config.divisors, strict=True))
    if config.norm == "batch" and feed.count * math.prod(bottom) < 2:
        raise ValueError(f"side is {feed.side} and count {feed.count}: batch norm has nothing to compare; give larger or more patches")


def judge(predict: Callable[[AnyArray], IntArray], decoder: Decoder, pairs: Sequence[Pair], folder: Path | None) -> float:
    """Score a model on validation pictures and draw some of them.

    Args:
        predict: picture -> labels.
        decoder: made them.
        pairs: (picture, labels).
        folder: receives `examples.png`, if given.

    Returns:
        Mean over the pictures of AP, itself the mean over IoU 0.5..0.95; for classes of Dice.
    """
    wanted = set(range(0, len(pairs), max(1, -(-len(pairs) // SHOWN))))
    shown = []

    def results() -> Iterator[tuple[IntArray, IntArray]]:
        for row, (image, labels) in enumerate(pairs):
            found = predict(image)
            if row in wanted:
                shown.append((image, labels, found))
            yield labels, found

    table = judged(decoder, results())
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        journal.examples(folder / "examples.png", shown)
    return table["dice_image_mean"] if "dice_image_mean" in table else table["ap_image_mean"]


def with_weights(network: UNet, path: Path) -> UNet:
    """Copy a network with the weights of a file: a safetensors file or a PyTorch state dict, tensors only.

    Args:
        network: the architecture; stays as it is.
        path: file with the names that `network.state_dict()` has, perhaps with "module." or the like in front of all of them.

    Raises:
        ValueError: the file cannot be read, or is of another architecture; names the first tensor that does not fit.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file: give weights, .safetensors or a PyTorch state dict")
    tensors: Mapping[str, Tensor] = read_tensors(path.read_bytes(), str(path))
    for prefix in ("module.", "network.", "model."):
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    made = copy.deepcopy(network)
    counters = {name: tensor for name, tensor in made.state_dict().items() if name.endswith("num_batches_tracked")}
    whole = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    fill(made, counters | whole, str(path))
    return made.eval()


def _block_of(name: str) -> str:
    """The block that a weight belongs to; the step up to a level belongs to its block."""
    part, *rest = name.split(".")
    return {"widen": "up"}.get(part, part) + (f".{rest[0]}" if part in ("down", "up", "widen") else "")
