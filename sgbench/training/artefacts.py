"""Files beside a record, which stores their hashes: test predictions as text, weights as safetensors."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from fastspiking.signals.trajectory import UNLABELLED
from sgbench.records.files import write_atomic


def save_predictions(path: Path, batches: list[tuple[Tensor, Tensor, Tensor]]) -> str:
    """Write the table of test predictions to a file, and return its SHA-256; see `predictions_table`."""
    data = predictions_table(batches)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def predictions_table(batches: list[tuple[Tensor, Tensor, Tensor]]) -> bytes:
    """Return the CSV table of test predictions, in the order of the split.

    The lines depend on the targets. Classes of samples: one line per sample with index, target, prediction and logits.
    Classes of steps: one per labelled step with index, step, target and prediction. Traces: one per sample and step
    with index, step, targets and outputs. `batches`: positions in the split [B], targets and outputs of each. For
    classes of samples targets are [B] and outputs logits [B, C]; for classes of steps [B, T] and logits [B, T, C]; for
    traces both are [B, T, C].
    """
    index, target, logits = (torch.cat(tensors).cpu() for tensors in zip(*batches, strict=True))
    order = index.argsort()
    make_lines = (_class_lines, _step_class_lines, _trace_lines)[target.ndim - 1]  # targets have 1 to 3 axes
    lines = make_lines(index[order], target[order], logits[order])
    return ("\n".join(lines) + "\n").encode()


def _class_lines(index: Tensor, target: Tensor, logits: Tensor) -> list[str]:
    """Write the header and a line for each sample; arguments have the shapes [B], [B] and [B, C]."""
    classes = logits.shape[1]
    lines = [",".join(["index", "target", "prediction", *(f"logit_{k}" for k in range(classes))])]
    columns = (column.tolist() for column in (index, target, logits.argmax(1), logits))
    for position, right_class, predicted_class, sample_logits in zip(*columns, strict=True):
        lines.append(f"{position},{right_class},{predicted_class},{_numbers(sample_logits)}")
    return lines


def _step_class_lines(index: Tensor, target: Tensor, logits: Tensor) -> list[str]:
    """Write the header and a line for each labelled step, without logits, which would be many and alike."""
    sample, step = (target != UNLABELLED).nonzero(as_tuple=True)
    rows = torch.stack([index[sample], step, target[sample, step], logits.argmax(2)[sample, step]], 1).tolist()
    return ["index,step,target,prediction", *(",".join(map(str, row)) for row in rows)]


def _trace_lines(index: Tensor, target: Tensor, output: Tensor) -> list[str]:
    """Write the header and a line for each sample and step; target and output are [B, T, C]."""
    _, _, channels = output.shape
    names = [*(f"target_{k}" for k in range(channels)), *(f"output_{k}" for k in range(channels))]
    lines = [",".join(["index", "step", *names])]
    samples = torch.cat([target.to(output.dtype), output], 2).tolist()
    for position, rows in zip(index.tolist(), samples, strict=True):
        lines += [f"{position},{step},{_numbers(row)}" for step, row in enumerate(rows)]
    return lines


def _numbers(row: list[float]) -> str:
    """Write numbers with nine significant digits, which identify a float32, and commas between them."""
    return ",".join(f"{value:.9g}" for value in row)


def save_weights(path: Path, network: nn.Module) -> str:
    """Write a network's state_dict to a safetensors file, and return the file's SHA-256."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save(weights)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()
