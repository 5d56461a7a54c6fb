"""Files beside a record: test predictions as text, weights as safetensors; both are named by their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from sgbench.records.files import write_atomic


def save_predictions(path: Path, parts: list[tuple[Tensor, Tensor, Tensor]]) -> str:
    """Write one line per test sample: index, target, prediction, logits; returns the SHA-256.

    Args:
        path: of the CSV file.
        parts: per batch, positions in the split [B], targets [B] and logits [B, C].
    """
    index, target, logits = (torch.cat([part[position] for part in parts]).cpu() for position in range(3))
    order = index.argsort()
    classes = logits.shape[1]
    lines = [",".join(["index", "target", "prediction", *(f"logit_{k}" for k in range(classes))])]
    sorted_parts = (part[order].tolist() for part in (index, target, logits.argmax(1), logits))
    for place, right, found, row in zip(*sorted_parts, strict=True):
        lines.append(f"{place},{right},{found},{','.join(f'{value:.9g}' for value in row)}")
    data = ("\n".join(lines) + "\n").encode()
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def save_weights(path: Path, network: nn.Module) -> str:
    """Write the network's weights; returns the SHA-256."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save(weights)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()
