"""Finds what a recorded call cannot show: hooks, hidden draws, and values of other kinds."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgbench.yours.traced.trace import Unproven, found_in


def other_draws() -> tuple[Any, ...]:
    """Return the states of Python's and NumPy's generators, in a form that `==` compares."""
    inner = np.random.get_state(legacy=False)  # noqa: NPY002 - somebody's forward may use it
    state: Any = inner["state"]
    return random.getstate(), state["key"].tobytes(), state["pos"], inner["has_gauss"]


PLAIN = (int, float, bool, str, complex, type(None), torch.dtype, torch.device, torch.Size)


def require_plain(value: Any, verb: str) -> None:
    """Raise `Unproven` for anything but tensors, numbers and text in lists, tuples and dictionaries."""
    for each in found_in(value):
        if not isinstance(each, (Tensor, *PLAIN)):
            raise Unproven(f"it {verb} a {type(each).__name__}")


HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")


def has_hooks(module: nn.Module) -> bool:
    return any(getattr(module, hooks, None) for hooks in HOOKS)


def stands_apart(network: nn.Module) -> str:
    """Return which module a replay would not call as the network does, and why; "" without one."""
    for path, module in network.named_modules():
        name = path or type(module).__name__
        if has_hooks(module):
            return f"module '{name}' has hooks"
        if "forward" in vars(module):
            return f"module '{name}' has a replaced forward"
        if isinstance(module, torch.jit.ScriptModule):
            return f"module '{name}' is compiled by TorchScript"
    return ""
