"""Elementwise neurons against Norse's over 200 steps, in spikes and states; `make test-peers` runs it.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.catalogue.neuron_cases import BATCH, SIZE, make, run
from tests.peers.elementwise import ABSENT, close, currents, ours, tensor

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the libraries, while they are imported
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed; make test-peers installs it"),
]


def norse(module: str) -> Any:
    return importlib.import_module(f"norse.torch.functional.{module}")


def rolled(step: Callable, state: Any, current: Tensor, *rest: Any, dt: float = 0.001) -> tuple[Tensor, list[Any]]:
    """Spikes and states of a functional step of Norse."""
    spikes, states = [], []
    for now in current.detach():
        sent, state = step(now, state, *rest, dt)
        spikes.append(sent)
        states.append(state)
    return torch.stack(spikes), states


def assert_norse(name: str, spikes: Tensor, states: dict[str, Tensor], current: Tensor, **changes: Any) -> None:
    """Spikes equal; named states after their resets within 1e-9."""
    neuron = make(name, **changes)
    found, kept = ours(neuron, current)
    assert 0.02 < found.mean() < 0.9
    assert torch.equal(found.detach(), spikes.double())
    close(kept.detach(), states["v"], "v")


LIKE = {"tau_syn_inv": tensor(1000.0), "tau_mem_inv": tensor(100.0)}


@pytest.mark.parametrize("adapting", [False, True])
def test_norse_exponential(adapting):
    """Expected: LIFEx and LIFAdEx, their current gone after a step; take-off from the threshold on."""
    current = currents(4.0)
    zero = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    if adapting:
        module = norse("lif_adex")
        numbers = module.LIFAdExParameters(
            **LIKE,
            adaptation_current=tensor(0.4),
            adaptation_spike=tensor(0.3),
            tau_ada_inv=tensor(20.0),
            delta_T=tensor(0.2),
        )
        start = module.LIFAdExFeedForwardState(zero, zero, zero)
        spikes, states = rolled(module.lif_adex_feed_forward_step, start, current, numbers)
        changes = {"a": 0.4, "b": 0.3, "tau_adapt_s": 0.05}
    else:
        module = norse("lif_ex")
        numbers = module.LIFExParameters(**LIKE, delta_T=tensor(0.2))
        start = module.LIFExFeedForwardState(zero, zero)
        spikes, states = rolled(module.lif_ex_feed_forward_step, start, current, numbers)
        changes = {}
    kept = {"v": torch.stack([state.v for state in states])}
    assert_norse(
        "adex" if adapting else "eif",
        spikes,
        kept,
        current,
        sharpness=0.2,
        rheobase=1.0,
        tau_mem_s=0.01,
        resistance=1.0,
        **changes,
    )


def test_norse_refractory():
    """Expected: LIFRefrac with five silent steps, its current gone after a step."""
    lif, module = norse("lif"), norse("lif_refrac")
    current = currents(8.0)
    zero = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    numbers = module.LIFRefracParameters(lif=lif.LIFParameters(**LIKE), rho_reset=tensor(5.0))
    start = module.LIFRefracFeedForwardState(lif.LIFFeedForwardState(zero, zero), zero)
    spikes, states = rolled(module.lif_refrac_feed_forward_step, start, current, numbers)
    kept = {"v": torch.stack([state.lif.v for state in states])}
    assert_norse(
        "refractory", spikes, kept, current, reset="zero", period_s=0.005, beta=0.9, input_gain="one_minus_beta"
    )


def test_norse_izhikevich():
    """Expected: tonic spiking (a, b, c, d = 0.02, 0.2, -65, 6) in mV; u = (v + 70) / 100, from rest."""
    module = norse("izhikevich")
    numbers = module.IzhikevichParameters(a=0.02, b=0.2, c=-65, d=6)
    current = currents(10.0, mean=1.0)
    v = torch.full((BATCH, SIZE), -70.0, dtype=torch.float64)
    start = module.IzhikevichState(v, 0.2 * v)
    spikes, states = rolled(module.izhikevich_feed_forward_step, start, current, numbers)
    kept = {"v": (torch.stack([state.v for state in states]) + 70) / 100}
    neuron = make("izhikevich", b=0.06)
    found, after = ours(neuron, current / 100)
    assert 0.005 < found.mean() < 0.5
    assert torch.equal(found.detach(), spikes.double())
    close(after.detach(), kept["v"], "v")


def test_norse_conductance_in_the_limit_of_short_steps():
    """Expected: CobaLIF's forward Euler and our exact step differ in proportion to the step: at half, by half."""
    module = norse("coba_lif")
    numbers = module.CobaLIFParameters(
        tau_syn_exc_inv=tensor(200.0), tau_syn_inh_inv=tensor(100.0), c_m_inv=tensor(100.0), g_l=tensor(1.0),
        e_rev_I=tensor(-1.0), e_rev_E=tensor(4.0), v_rest=tensor(0.0), v_reset=tensor(0.0), v_thresh=tensor(50.0),
    )  # fmt: skip
    off = []
    for finer in (16, 32):
        dt = 0.001 / finer
        coarse = currents(0.3).detach()[:60]
        current = torch.zeros(60 * finer, BATCH, SIZE, dtype=torch.float64)
        current[::finer] = coarse
        zero = torch.zeros(BATCH, SIZE, dtype=torch.float64)
        start = module.CobaLIFFeedForwardState(zero, zero, zero)
        _, states = rolled(module.coba_lif_feed_forward_step, start, current, numbers, dt=dt)
        neuron = make(
            "conductance", step_s=dt, threshold=50.0, alpha_excitatory=1 - 200 * dt, alpha_inhibitory=1 - 100 * dt
        )
        u = run(neuron, current).u + 50
        v = torch.stack([state.v for state in states])
        off.append((u - v).abs().max().item() / v.abs().max().item())
    assert off[0] < 0.05
    assert off[0] / off[1] == pytest.approx(2, rel=0.15)
