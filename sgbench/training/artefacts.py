"""Files beside a record, which stores their hashes: test predictions as text, weights as safetensors."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from fastspiking.signals.trajectory import UNLABELLED
from sgbench.records.files import write_atomic


def save_predictions(path: Path, parts: list[tuple[Tensor, Tensor, Tensor]]) -> str:
    """Write the table of test predictions to a file, and return its SHA-256; see `predictions_table`."""
    data = predictions_table(parts)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def predictions_table(parts: list[tuple[Tensor, Tensor, Tensor]]) -> bytes:
    """Return the CSV table of test predictions, in the order of the split.

    The lines depend on the targets. Classes of samples: one line per sample with index, target, prediction and logits.
    Classes of steps: one per labelled step with index, step, target and prediction. Traces: one per sample and step
    with index, step, targets and outputs. `parts`: for each batch, positions in the split [B], targets and outputs. For
    classes of samples these are [B] and logits [B, C]; for classes of steps [B, T] and logits [B, T, C]; for traces
    both are [B, T, C].
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
    """Write the lines of targets that are classes of steps, without logits, which would be many and alike."""
    sample, step = (target != UNLABELLED).nonzero(as_tuple=True)
    rows = torch.stack([index[sample], step, target[sample, step], logits.argmax(2)[sample, step]], 1).tolist()
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
    """Write numbers with nine significant digits, which identify a float32, and commas between them."""
    return ",".join(f"{value:.9g}" for value in row)


def save_weights(path: Path, network: nn.Module) -> str:
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save(weights)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()
