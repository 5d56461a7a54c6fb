"""Files beside a record: test predictions as text, weights as safetensors; both are named by their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from sgbench.records.files import write_atomic
from sgbench.signals.trajectory import UNLABELLED


def save_predictions(path: Path, parts: list[tuple[Tensor, Tensor, Tensor]]) -> str:
    """Write the table of test predictions to a file and return its SHA-256; see `predictions_table`."""
    data = predictions_table(parts)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def predictions_table(parts: list[tuple[Tensor, Tensor, Tensor]]) -> bytes:
    """Write one line per test sample: index, target, prediction, logits.

    Where targets are no classes there is a line per sample and step: index, step, targets, outputs; where each step
    has a class of its own, a line per labelled step: index, step, target, prediction.

    Args:
        parts: per batch, positions in the split [B], targets [B] and logits [B, C]; or both [B, T, C]; or classes
            of steps [B, T] and logits [B, T, C].
    """
    index, target, logits = (torch.cat([part[position] for part in parts]).cpu() for position in range(3))
    order = index.argsort()
    table = (_classes, _labels, _outputs)[target.ndim - 1]
    lines = table(index[order], target[order], logits[order])
    return ("\n".join(lines) + "\n").encode()


def _classes(index: Tensor, target: Tensor, logits: Tensor) -> list[str]:
    classes = logits.shape[1]
    lines = [",".join(["index", "target", "prediction", *(f"logit_{k}" for k in range(classes))])]
    parts = (part.tolist() for part in (index, target, logits.argmax(1), logits))
    for position, right, predicted, row in zip(*parts, strict=True):
        lines.append(f"{position},{right},{predicted},{_numbers(row)}")
    return lines


def _labels(index: Tensor, target: Tensor, logits: Tensor) -> list[str]:
    """Write the lines of labelled steps, without logits: steps are many, and those of neighbours nearly equal."""
    sample, step = (target != UNLABELLED).nonzero(as_tuple=True)
    rows = torch.stack(
        [index[sample], step, target[sample, step], logits.argmax(2)[sample, step]], 1
    ).tolist()
    return ["index,step,target,prediction", *(",".join(map(str, row)) for row in rows)]


def _outputs(index: Tensor, target: Tensor, output: Tensor) -> list[str]:
    _, steps, count = output.shape
    names = [*(f"target_{k}" for k in range(count)), *(f"output_{k}" for k in range(count))]
    lines = [",".join(["index", "step", *names])]
    rows = torch.cat([target.to(output.dtype), output], 2).tolist()
    for position, sample in zip(index.tolist(), rows, strict=True):
        lines += [f"{position},{step},{_numbers(sample[step])}" for step in range(steps)]
    return lines


def _numbers(row: list[float]) -> str:
    return ",".join(f"{value:.9g}" for value in row)


def save_weights(path: Path, network: nn.Module) -> str:
    """Write the network's weights; returns the SHA-256."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save(weights)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()
