"""The one list of networks that `accelerate` and all that serves a user's network are held to, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.replay.trace import tensors_in
from tests.yours.as_written import IDIOMS, KINDS, Made
from tests.yours.tutorials import TUTORIALS

NETWORKS = KINDS | IDIOMS | TUTORIALS
"""Twenty-two kinds, idioms of public code, and the networks of snnTorch's pages."""
STEP_BEFORE = "a layer receives what it, or a later layer, sent a step before"
NOT_AT_ONCE = {
    "an_own_recurrent_layer": (STEP_BEFORE, "what it sent a step before"),
    "feedback_from_a_later_layer": (STEP_BEFORE, "what it sent a step before"),
    "latency_code_in_forward": ("a branch that depends on data", "branch on data"),
    "winner_takes_all": ("`inhibition=True`", "inhibition"),
    "notebook_of_quantised_states": ("`state_quant`", "state_quant"),
    "a_recurrent_convolution": ("recurrence by a convolution", "its recurrence is a convolution"),
    "a_spiking_lstm": ("`SLSTM` and `SConv2dLSTM`", "SLSTM"),
    "a_potential_that_is_clamped": ("a state that `forward` changes between steps", "something else has changed"),
}
"""Networks of which a part runs step by step: the reason as the page counts it, and a word of what `runs_on` says."""
GENERATED = ("reset_delay_false", "alpha", "tutorial_4_alpha")
"""Networks for whose neurons loops are generated and compiled."""
ROUNDS = 3


def drawn(make: Callable[[], Made]) -> tuple[nn.Module, tuple[Any, ...]]:
    """One network and its input, the same in each call."""
    torch.manual_seed(1)
    network, x = make()
    return network, x if isinstance(x, tuple) else (x,)


class Gradients(NamedTuple):
    """Those of all weights, of which some are zero but for rounding, such as of a bias before batch normalisation."""

    all: list[Tensor | None]


def close(found: Any, expected: Any) -> None:
    """The same containers, with tensors of the same types that agree to rounding."""
    assert type(found) is type(expected)
    if isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            close(one, other)
        return
    scale = 1.0
    if isinstance(expected, Gradients):
        assert [each is None for each in found.all] == [each is None for each in expected.all]
        scale = max([1.0, *(float(each.abs().max()) for each in expected.all if each is not None)])
    for one, other in zip(tensors_in(found), tensors_in(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5 * scale)


def trained(network: nn.Module, run: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """Outputs and gradients of some steps of an optimiser, each on another input, then weights and buffers."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    outs: list[Any] = []
    for turn in range(ROUNDS):
        torch.manual_seed(10 + turn)
        inputs = [x.roll(turn, 0) for x in args]
        out = run(*inputs)
        loss = sum((each * torch.linspace(-1, 1, each.numel()).view(each.shape)).sum() for each in tensors_in(out))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        grads = [None if each.grad is None else each.grad.clone() for each in network.parameters()]
        outs += [out, Gradients(grads)]
        for module in network.modules():
            if hasattr(module, "reset_mechanism_val") and module.init_hidden:
                module.reset_mem()  # type: ignore[operator]
    kept = list(network.parameters())
    return [*outs, kept, [x for name, x in network.named_buffers() if "running" in name or "num_batches" in name]]
