"""Optimisers of torch without torch's compiler, whose import takes longer than a short run."""

import types

import torch
from torch.optim import Optimizer

DECORATED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods that torch's compiler is told to leave alone, for which each imports it at the first call."""


def leave_uncompiled() -> None:
    """Let torch's optimisers be made and cleared without an import of the compiler.

    Torch keeps, beside each such method, the version of it that the compiler leaves alone. Of a method that nobody
    compiles this is the method itself.
    """
    for name in DECORATED:
        method = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            method.__dynamo_disable = method


def step_uncompiled(optimizer: Optimizer) -> None:
    """Let an optimiser step without an import of the compiler; its hooks and its numbers stay what they are."""
    step = type(optimizer).step
    while (inner := getattr(step, "__wrapped__", None)) is not None:
        if step.__code__.co_name == "_use_grad":  # torch's wrapper, which imports the compiler in each step
            mode = torch.enable_grad if optimizer.defaults.get("differentiable") else torch.no_grad
            plain = mode()(inner)
            optimizer.step = types.MethodType(Optimizer.profile_hook_step(plain), optimizer)  # type: ignore[method-assign]
            return
        step = inner
