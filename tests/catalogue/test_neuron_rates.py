"""Rates of models at any time step against their periods, and chance against its statistics.

Legend: T steps; I current, u membrane potential, dt time step [s], tau time constants [s].
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.catalogue.neuron_cases import ELEMENTWISE, ENTRIES, make, recipe, run

STEP_S = 0.001

# --- rates


def sent(name: str, current: Tensor, step_s: float, **changes: Any) -> Tensor:
    """Whether one neuron, or each of several, fires at each step of its current [T, B]."""
    neuron = make(name, size=1, step_s=step_s, **changes)
    return run(neuron, current[..., None]).output[..., 0] != 0


def period(name: str, current: float, steps: int, step_s: float, **changes: Any) -> float:
    """Mean time between the spikes under a constant current [s]."""
    fired = sent(name, torch.full((steps, 1), current, dtype=torch.float64), step_s, **changes)
    times = fired.flatten().nonzero().flatten()
    return (times[-1] - times[0]).item() / (len(times) - 1) * step_s


@pytest.mark.one_in(4)
@pytest.mark.parametrize("current", [1.2, 2.0, 5.0])
def test_leaky_fires_at_the_known_rate(current):
    """Expected: period tau ln(I / (I - theta)) for a current with gain 1 - beta, to one step of 0.1 ms."""
    expected = 0.010 * math.log(current / (current - 1))
    found = period("leaky", current, 1000, 1e-4, input_gain="one_minus_beta", reset="zero")
    assert expected <= found + 1e-5
    assert found <= expected + 1.2e-4


@pytest.mark.parametrize("current", [0.5, 2.0])
def test_qif_fires_at_the_known_rate(current):
    """Expected: period tau / w (atan(..) - atan(..)), the integral of du / (a0 u (u - u_c) + I), to two steps."""
    a0, critical = 2.0, 0.5
    w = math.sqrt(a0 * current - (a0 * critical / 2) ** 2)
    ends = [math.atan((a0 * u - a0 * critical / 2) / w) for u in (0.0, 1.0)]
    expected = 0.010 / w * (ends[1] - ends[0])
    assert period("qif", current, 1000, 1e-4, resistance=1.0) == pytest.approx(expected, abs=2e-4)


DIVIDED = {"current": 0, "charge": 1, "summed_charge": 2}
"""How often a finer step divides a constant input: not at all where it is a current, once where it is a charge that
arrives in each step, twice where such charges are summed up twice."""
INPUTS = {name: ENTRIES[name].meta.get("input") for name in ELEMENTWISE}
POWERS = {name: DIVIDED[kind] for name, kind in INPUTS.items() if kind in DIVIDED}
KICKED = [name for name, kind in INPUTS.items() if kind == "single_charge"]
STEPS = 300
QUICK = (
    "leaky",
    "adex",
    "synaptic",
    "adlif",
    "conductance",
    "noisy",
)  # of each kind; the others run with the slow tests


@pytest.mark.slow
@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in POWERS]
)
def test_a_finer_step_keeps_the_rate(name):
    """Expected: the rate at steps of 1 ms within 20 % of that at 0.5 ms, all decays from their time constants.

    Inputs go with the step as `meta.input` says; numbers that their papers give per step by the power of
    `meta.per_step`.
    """
    per_step = ENTRIES[name].meta.get("per_step", {})
    many = 200 if name in ("escape_noise", "noisy") else 1
    heights = torch.logspace(-3, 2, 126, dtype=torch.float64)
    paper = {"input_gain": "one_minus_beta"} if name == "se_adlif" else {}
    coarse = sent(name, heights.expand(STEPS, -1), STEP_S, **paper).double().mean(0) / STEP_S
    height = heights[(coarse > 60).nonzero()[0].item()].item()
    rates = []
    for finer in (1, 2):
        numbers = {key: recipe(name)[1][key] / finer**power for key, power in per_step.items()}
        numbers |= paper
        current = torch.full((STEPS * finer, many), height / finer ** POWERS[name], dtype=torch.float64)
        rates.append(sent(name, current, STEP_S / finer, **numbers).double().mean().item() / STEP_S * finer)
    assert 40 < rates[0] < 200
    assert rates[1] == pytest.approx(rates[0], rel=0.2)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", KICKED)
def test_a_finer_step_keeps_the_spikes_of_an_oscillator(name):
    """Expected: as many spikes behind one charge, each within 2 ms, at steps of 1 and of 0.25 ms."""
    times = []
    for finer in (1, 4):
        kick = torch.zeros(150 * finer, 1, dtype=torch.float64)
        kick[0] = 1.9
        times.append(sent(name, kick, STEP_S / finer).flatten().nonzero().flatten() / finer)
    assert len(times[0]) == len(times[1]) > 0
    assert (times[0] - times[1]).abs().max() <= 2


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_model_says_how_its_input_goes_with_the_step(name):
    """Expected: `meta.input` is one of five words; untimed alone, without time constant or spikes, is not tried."""
    assert INPUTS[name] in {*DIVIDED, "single_charge", "untimed"}, f"conf/neuron/{name}.yaml: meta.input"


# --- chance


def test_escape_noise_fires_with_its_probability():
    """Expected: 1 - exp(-(dt / tau_0) e^x) within 5 standard errors, x = (u - theta) / Delta at five values."""
    draws = 40_000
    for x in (-2.0, -0.5, 0.0, 0.5, 1.5):
        neuron = make("escape_noise", size=1, beta=0.0, softness=0.2, tau_escape_s=0.002, reset="none")
        sent = run(neuron, torch.full((1, draws, 1), 1 + 0.2 * x, dtype=torch.float64)).output
        chance = 1 - math.exp(-0.5 * math.exp(x))
        assert abs(sent.mean().item() - chance) < 5 * math.sqrt(chance * (1 - chance) / draws)


@pytest.mark.parametrize("step_s", [0.001, 0.0002])
def test_noise_has_its_deviation_at_any_step(step_s):
    """Expected: a standard deviation of 0.1 and a correlation exp(-5 ms / tau), within 5 standard errors."""
    samples, lag = 4000, round(0.005 / step_s)
    neuron = make("noisy", size=1, step_s=step_s, threshold=9.0, reset="none")
    u = run(neuron, torch.zeros(round(0.06 / step_s), samples, 1, dtype=torch.float64)).u[..., 0] + 9.0
    error = 5 / math.sqrt(samples)
    assert u[-1].std().item() == pytest.approx(0.1, rel=error)
    found = torch.corrcoef(torch.stack([u[-1 - lag], u[-1]]))[0, 1].item()
    assert found == pytest.approx(math.exp(-0.5), abs=error)
