"""Counts how often the host waits for a device, on a device that has no numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

FAKE = torch.device("meta")
"""It knows shapes alone: what needs a number of a tensor waits here, and what needs a size of one fails."""


class Synchronisations(TorchDispatchMode):
    """Answers questions for a number, such as `item()` and `bool()`, with 1 and counts them; the CPU's are none."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type != "cpu":
            self.count += 1
            return torch.ones((), dtype=args[0].dtype).item()
        return func(*args, **(kwargs or {}))
