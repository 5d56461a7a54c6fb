"""The six planted faults of the diagnosis, each named while it trains; six healthy networks without a word."""

from __future__ import annotations

import warnings

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from sgbench.callbacks import EarlyWarning, GradientFlow
from sgbench.callbacks.early_warning import EarlyWarningIssued
from tests.callbacks.modules import Wrapped, fit
from tests.diagnosis.test_planted import FAULTS, HEALTHY, Case

pytestmark = [
    pytest.mark.usefixtures("no_snntorch_neurons_left"),
    pytest.mark.filterwarnings("ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning"),
]
NAMED = {
    "dead layers at the loss of guessing": "silence",
    "exploding gradient": "explosion",
    "silent input": "guessing",
    "saturated layer": "guessing",  # no sample can be told from another
    "too narrow a surrogate": "vanishing",
    "detached part": "vanishing",
}


def warned_of(case: Case, batches: int, *, judged_after: int = 400) -> EarlyWarning:
    torch.manual_seed(0)
    callback = EarlyWarning(every_n_steps=10, judged_after=judged_after)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EarlyWarningIssued)
        fit(Wrapped(case.make(), case.loss), case.batch, [callback], batches=batches)
    return callback


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name: str) -> None:
    """Expected: the fault and the layer that were planted, in the first warning, before the second batch."""
    first = warned_of(FAULTS[name], 1).warned[0]
    assert (first.fault, first.step) == (NAMED[name], 0)
    assert first.layer.removeprefix("net.") == FAULTS[name].layer


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_is_not_warned_of(name: str) -> None:
    """Must differ from the faults: no word in its first batches."""
    assert warned_of(HEALTHY[name], 2).warned == []


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_is_not_warned_of_while_it_learns(name: str) -> None:
    """Must differ: no word in 61 batches, of which seven are recorded, nor by the course of the loss."""
    callback = warned_of(HEALTHY[name], 61, judged_after=60)
    assert callback.warned == []
    assert len(callback.curves["loss"]) == 7


class Constant(nn.Module):
    """A network whose loss is handed in."""

    def __init__(self) -> None:
        import snntorch as snn

        super().__init__()
        self.dense, self.leaky = nn.Linear(8, 6), snn.Leaky(beta=0.9)

    def forward(self, x: Tensor) -> Tensor:
        memory, total = self.leaky.reset_mem(), torch.zeros(())
        for _ in range(5):
            spikes, memory = self.leaky(3 * self.dense(x), memory)
            total = total + memory.square().mean() + spikes.mean()
        return total


@pytest.mark.parametrize(("lr", "faults"), [(0.0, ["guessing"]), (0.01, [])])
def test_a_loss_that_does_not_fall(lr: float, faults: list[str]) -> None:
    """By construction: a learning rate of 0 leaves the loss as it is; must differ: one that learns."""
    torch.manual_seed(0)
    callback = EarlyWarning(judged_after=16)
    module = Wrapped(Constant(), lambda net, x: net(x + 0.01 * torch.rand_like(x)), lr=lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EarlyWarningIssued)
        fit(module, torch.rand(4, 8), [callback], batches=17)
    assert [warned.fault for warned in callback.warned] == faults


def test_a_loss_that_is_not_finite_stops_training() -> None:
    """Must match: explosion in Python's warnings, and no batch after it; two callbacks share a recording."""
    torch.manual_seed(0)
    callback, flow = EarlyWarning(stop=True, every_n_steps=1), GradientFlow(every_n_steps=1)
    module = Wrapped(Constant(), lambda net, x: net(x) * float("inf"))
    with pytest.warns(EarlyWarningIssued, match="explosion"):
        trainer = fit(module, torch.rand(4, 8), [flow, callback], batches=4, min_epochs=0)
    assert trainer.global_step == 1
    assert callback.plot().axes[0].texts[0].get_text() == "explosion"
    assert isinstance(trainer, pl.Trainer)
