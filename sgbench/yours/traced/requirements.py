"""Refuses what a recorded call cannot show: hooks, hidden draws, and values of other kinds."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgbench.yours.traced.trace import Unproven


def other_draws() -> tuple[Any, ...]:
    """Return the states of Python's and NumPy's generators, in a form that `==` compares."""
    inner = np.random.get_state(legacy=False)  # noqa: NPY002 - somebody's forward may use it
    state: Any = inner["state"]
    return random.getstate(), state["key"].tobytes(), state["pos"], inner["has_gauss"]


PLAIN = (int, float, bool, str, complex, type(None), torch.dtype, torch.device, torch.Size)


def require_plain(value: Any, verb: str) -> None:
    """Raise `Unproven` for anything but tensors, numbers and text in lists, tuples and dictionaries."""
    if isinstance(value, dict):
        for each in value.values():
            require_plain(each, verb)
    elif isinstance(value, tuple | list):
        for each in value:
            require_plain(each, verb)
    elif not isinstance(value, (Tensor, *PLAIN)):
        raise Unproven(f"it {verb} a {type(value).__name__}")


HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")


def require_no_hooks(network: nn.Module) -> None:
    """Raise `Unproven` for a network with hooks, which a replay would not call."""
    for name, module in network.named_modules():
        if any(getattr(module, hooks, None) for hooks in HOOKS) or "forward" in vars(module):
            raise Unproven(f"module '{name or type(module).__name__}' has hooks, or a replaced forward")
        if isinstance(module, torch.jit.ScriptModule):
            raise Unproven(f"module '{name}' is compiled by TorchScript")
