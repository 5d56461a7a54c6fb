"""EventProp in time steps: its error falls with the step, and what it refuses; its recursion has contract tests."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.inits.shifted import Shifted
from sgbench.losses.base import Loss
from sgbench.losses.first_spike import FirstSpike
from sgbench.losses.mean_squared_error import MeanSquaredError
from sgbench.networks.base import Provided
from sgbench.networks.event_driven import EventDriven
from sgbench.networks.mlp import Mlp
from sgbench.neurons.synaptic import Synaptic
from sgbench.neurons.synaptic_readout import SynapticReadout
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.rules.eventprop import Eventprop
from sgbench.surrogates.zero import Zero
from sgbench.training.build import build
from tests.networks.parts import leaky, readout
from tests.run.tiny import WORDS

STEPS, HIDDEN, TAU_MEM, TAU_SYN, THETA = 30, [5, 4], 20.0, 5.0, 0.5
INIT = Shifted(gain=1.0, recurrent_gain=0.3, hidden_sum=5.0, readout_sum=5.0)


def continuous(recurrence: str, answer: str, refined: int) -> EventDriven:
    """Return the network without steps, looked at in steps of 1 / refined."""
    return EventDriven(
        Provided(3, 2, leaky, readout, INIT, torch.Generator().manual_seed(5), Engine("auto")),
        hidden=HIDDEN,
        recurrence=recurrence,
        answer=answer,
        tau_mem_s=TAU_MEM,
        tau_syn_s=TAU_SYN,
        threshold=THETA,
        wake=0.0,
        dt_s=1 / refined,
    ).double()


def stepped(recurrence: str, answer: str, refined: int) -> Mlp:
    """Return the same network, with the same weights, in steps of 1 / refined."""
    decays = {"alpha": math.exp(-1 / TAU_SYN / refined), "beta": math.exp(-1 / TAU_MEM / refined)}
    fixed = {"learn_alpha": "none", "learn_beta": "none", "input_gain": "one_minus_beta"}

    def neuron(_: int) -> Synaptic:
        return Synaptic(
            Zero(normalisation="raw", scale=1.0),
            threshold=THETA,
            reset="zero",
            reset_gradient="detached",
            learn_threshold="none",
            **decays,
            **fixed,
        )

    return Mlp(
        Provided(
            3,
            2,
            neuron,
            neuron if answer == "first_spike" else lambda _: SynapticReadout(**decays, **fixed),
            INIT,
            torch.Generator().manual_seed(5),
            Engine("reference"),
        ),
        hidden=HIDDEN,
        recurrence=recurrence,
        recurrence_gradient="full",
        bias=False,
    ).double()


def batch(refined: int, answer: str) -> Batch:
    """Return one spike of each input within 12 whole steps, and what is wanted."""
    random = torch.Generator().manual_seed(1)
    x = torch.zeros(STEPS * refined, 3, 3, dtype=torch.float64)
    x.scatter_(0, (torch.randint(0, 12, (3, 3), generator=random) * refined)[None], 1.0)
    lengths = torch.full((3,), STEPS * refined)
    target = torch.tensor([0, 1, 0]) if answer == "first_spike" else torch.zeros(3, STEPS * refined, 2).double()
    return Batch(x, target, lengths, torch.arange(3))


def error(recurrence: str, answer: str, refined: int) -> float:
    """Return the distance of the two gradients over the length of the exact one."""
    loss: Loss = MeanSquaredError()
    if answer == "first_spike":
        loss = FirstSpike(tau_s=2.0, early=0.0, tau_early_s=1.0, dt_s=1 / refined)
    given = batch(refined, answer)
    exact, grid = continuous(recurrence, answer, refined), stepped(recurrence, answer, refined)
    grid.load_state_dict(exact.state_dict())
    loss.whole(exact.unroll(given.x, given.lengths), given.target).backward()
    for _ in Eventprop().gradients(grid, given, Objective(loss=loss, regulariser=NoPenalty())):
        pass
    pairs: list[tuple[Tensor, Any]] = [
        (one.grad, other.grad) for one, other in zip(exact.parameters(), grid.parameters(), strict=True)
    ]  # type: ignore[misc]
    apart = sum((one - other).square().sum() for one, other in pairs)
    return math.sqrt(apart / sum(one.square().sum() for one, _ in pairs))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("recurrence", "answer"), [("none", "potential"), ("all_to_all", "potential"), ("none", "first_spike")]
)
def test_its_error_falls_with_the_step(recurrence: str, answer: str) -> None:
    """Expected: against the exact adjoint, a sixteenth of the step leaves less than a third of the error."""
    coarse, fine = error(recurrence, answer, 4), error(recurrence, answer, 64)
    assert fine < coarse / 3, (coarse, fine)
    assert fine < 0.1


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("neuron=leaky",), r"use neuron=synaptic$"),
        (("neuron=synaptic",), r"use neuron@readout=synaptic_readout$"),
        (("neuron=synaptic", "neuron.reset=none"), r"use neuron\.reset=zero$"),
        (("neuron=synaptic", "neuron.learn_beta=shared"), r"use neuron\.learn_beta=none$"),
        (("neuron=synaptic", "firing=escape"), r"use firing=step$"),
        (("neuron=synaptic", "neuron@readout=leaky", "loss=first_spike"), r"use neuron@readout=synaptic$"),
        (("neuron=synaptic", "neuron@readout=leaky", "loss=spike_count"), r"use rule=bptt, or loss=first_spike"),
        (("network=conv",), r"use network=mlp or rule=bptt$"),
    ],
)
def test_what_has_no_such_times_is_refused(words: tuple[str, ...], says: str) -> None:
    """Expected: one line that names the option and the remedy."""
    with pytest.raises(InputError, match=says):
        build(compose([*WORDS, "rule=eventprop", *words]))
