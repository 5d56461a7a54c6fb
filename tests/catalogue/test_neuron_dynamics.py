"""Models against mathematics: differential equations solved finely, closed forms, and limits in which models agree.

Legend: T steps; I current, u membrane potential, dt time step [s], tau time constants [s].
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.catalogue.neuron_cases import drive, make, recipe, run

STEP_S = 0.001
Slope = Callable[[np.ndarray, float], np.ndarray]


def runge_kutta(slope: Slope, start: list[float], until_s: float, steps: int = 1000) -> np.ndarray:
    """The solution of y' = slope(y, t) by the classical method, whose error is far below those looked at."""
    y, h = np.array(start), until_s / steps
    for k in range(steps):
        t = k * h
        k1 = slope(y, t)
        k2 = slope(y + h / 2 * k1, t + h / 2)
        k3 = slope(y + h / 2 * k2, t + h / 2)
        k4 = slope(y + h * k3, t + h)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


def final(name: str, step_s: float, until_s: float, *, constant: float = 0.0, kick: float = 0.0, **changes: Any) -> Any:
    """The state of one neuron after a constant current and a charge at the first step."""
    steps = round(until_s / step_s)
    current = torch.full((steps, 1, 1), constant, dtype=torch.float64)
    current[0] += kick
    changes = {"threshold": 1e3, **changes}
    changes = {key: value for key, value in changes.items() if key in recipe(name)[1]}
    return run(make(name, size=1, step_s=step_s, **changes), current).state


# --- differential equations


def flows() -> dict[str, tuple[Slope, float, float]]:
    """Right-hand sides as the docstrings have them, with the entries' numbers; a current, and a time."""
    v = {name: recipe(name)[1] for name in ("eif", "qif", "adex", "izhikevich", "lapicque")}

    def exponential(p: dict, u: float) -> float:
        return -u + p["sharpness"] * math.exp((u - p["rheobase"]) / p["sharpness"])

    def quadratic(p: dict, u: float) -> float:
        return p["curvature"] * u * (u - p["critical"])

    def adapting(name: str, flow: Callable, tau_w: str) -> Slope:
        p = v[name]
        return lambda y, _t: np.array(
            [
                (flow(p, y[0]) - y[1] + RESISTANCE.get(name, 1.0) * CURRENT[name]) / p["tau_mem_s"],
                (p["a"] * y[0] - y[1]) / p[tau_w],
            ]
        )

    return {
        "eif": (
            lambda y, _t: (exponential(v["eif"], y[0]) + 10 * CURRENT["eif"]) / v["eif"]["tau_mem_s"] * np.ones(1),
            1,
            0.02,
        ),
        "qif": (
            lambda y, _t: (quadratic(v["qif"], y[0]) + 10 * CURRENT["qif"]) / v["qif"]["tau_mem_s"] * np.ones(1),
            1,
            0.02,
        ),
        "adex": (adapting("adex", exponential, "tau_adapt_s"), 2, 0.02),
        "izhikevich": (adapting("izhikevich", quadratic, "tau_recovery_s"), 2, 0.02),
        "lapicque": (
            lambda y, _t: (CURRENT["lapicque"] - y / v["lapicque"]["resistance_ohm"]) / v["lapicque"]["capacitance_f"],
            1,
            0.02,
        ),
    }


CURRENT = {"eif": 0.07, "qif": 0.009, "adex": 0.07, "izhikevich": 0.01, "lapicque": 0.08}
RESISTANCE = {"adex": 10.0}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", CURRENT)
def test_euler_converges_in_first_order(name):
    """Expected: the error to a fine Runge-Kutta solution halves with the step, within a tenth."""
    slope, size, until_s = flows()[name]
    expected = runge_kutta(slope, [0.0] * size, until_s)
    errors = []
    for step_s in (STEP_S / 4, STEP_S / 8, STEP_S / 16):
        state = final(name, step_s, until_s, constant=CURRENT[name])
        found = [state.u.item()] + ([state.w.item()] if size > 1 else [])
        errors.append(np.abs(np.array(found) - expected).max())
    assert 0 < errors[0] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("step_s", [0.001, 0.01])
def test_conductance_is_exact_between_inputs(step_s):
    """Expected: u at rest of constant channels, u_inf (1 - exp(-(1 + g) t / tau)), whatever the step."""
    state = final(
        "conductance", step_s, 0.01, kick=2.0, alpha_excitatory=1.0, tau_mem_s=0.02, threshold=1e3
    )  # opened once, for good
    expected = 2.0 * 4.0 / 3.0 * (1 - math.exp(-3.0 * 0.01 / 0.02))
    assert state.u.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("step_s", [0.0005, 0.001, 0.004])
def test_resonator_is_exact_between_inputs(step_s):
    """Expected: after a charge 3, z = 3 exp((i omega - 1 / tau) t), whatever the step."""
    until = 0.04
    steps = round(until / step_s) + 1
    state = final(
        "resonate_and_fire", step_s, steps * step_s, kick=3.0, beta=math.exp(-step_s / 0.05), omega_rad_s=130.0
    )
    z = 3 * np.exp((130j - 1 / 0.05) * until)
    assert state.w.item() == pytest.approx(z.real, rel=1e-10)
    assert state.u.item() == pytest.approx(z.imag, rel=1e-10)


@pytest.mark.parametrize("name", ["brf", "hrf"])
def test_oscillators_converge(name):
    """Expected: the damped oscillation of their differential equation; errors fall at least with the step."""
    omega, damping, until = 100.0, 10.0, 0.02
    errors = []
    for step_s in (STEP_S / 2, STEP_S / 4, STEP_S / 8):
        state = final(name, step_s, until + step_s, kick=1.0, omega_rad_s=omega, damping_per_s=damping)
        if name == "brf":  # z' = (i omega - b) z
            expected = math.exp(-damping * until) * math.cos(omega * until)
        else:  # v'' = -2 b v' - omega^2 v with v' = u = 1 at first
            turn = math.sqrt(omega**2 - damping**2)
            wave = math.cos(turn * until) - damping / turn * math.sin(turn * until)
            expected = math.exp(-damping * until) * wave
        errors.append(abs(state.u.item() - expected))
    assert errors[0] < 0.15
    assert errors[0] / errors[1] > 1.8
    assert errors[1] / errors[2] > 1.8


def test_izhikevich_is_that_of_2003_in_other_units():
    """Expected: the equations of 2003 in mV by forward Euler, regular spiking, 400 ms; spikes equal, u to 1e-9.

    By hand: rest -70 mV is the zero of 0.04 v^2 + 4.8 v + 140, L = 100 mV, the flow's other fixed point -55 mV.
    """
    a, b, c, d, step_ms, current = 0.02, 0.2, -65.0, 8.0, 0.25, 10.0
    v, w = -70.0, b * -70.0
    expected, times = [], []
    for t in range(1600):
        new = v + step_ms * (0.04 * v * v + 5 * v + 140 - w + current)
        w += step_ms * a * (b * v - w)
        v = new
        expected.append((v + 70) / 100)
        if v > 30:
            times.append(t)
            v, w = c, w + d
    assert 5 < len(times) < 30
    neuron = make(
        "izhikevich", size=1, tau_mem_s=0.001, tau_recovery_s=0.05, dt_s=0.00025, curvature=4.0, critical=0.15,
        a=0.2, b=0.08, reset_to=0.05,
    )  # fmt: skip
    found = run(neuron, torch.full((1600, 1, 1), current / 100, dtype=torch.float64))
    assert found.output.flatten().nonzero().flatten().tolist() == times
    np.testing.assert_allclose(found.u.flatten().numpy() + 1, expected, rtol=0, atol=1e-9)


# --- closed forms and limits


def test_alpha_of_equal_decays_is_the_alpha_function():
    """Expected: n alpha^n ln(1 / alpha), and the same from decays that nearly agree."""
    n = torch.arange(60, dtype=torch.float64)
    expected = n * 0.9**n * math.log(1 / 0.9)
    current = torch.zeros(60, 1, 1, dtype=torch.float64)
    current[0] = 1.0
    for beta, rtol in ((0.9, 1e-12), (0.9 + 1e-6, 1e-4), (0.9 - 1e-6, 1e-4)):
        found = run(make("alpha", size=1, alpha=0.9, beta=beta, reset="none", threshold=9.0), current)
        torch.testing.assert_close(found.u.flatten() + 9.0, expected, rtol=rtol, atol=1e-9)


LIMITS = [
    ("refractory", {"period_s": 0.0}, "leaky", {}, "bits"),
    ("refractory_alif", {"period_s": 0.0}, "alif", {}, "bits"),
    ("multi_spike", {"most": 1}, "leaky", {}, "bits"),
    ("ahp", {"b": 0.0}, "leaky", {}, "bits"),
    ("noisy", {"noise_std": 0.0}, "leaky", {}, "bits"),
    ("dexat", {"kappa_fast": 0.0, "kappa_slow": 0.0}, "leaky", {}, "bits"),
    ("se_adlif", {"a": 0.0, "b": 0.0, "reset": "subtract"}, "leaky", {}, "bits"),
    ("adex", {"a": 0.0, "b": 0.0}, "eif", {}, "bits"),
    (
        "izhikevich",
        {"a": 0.0, "b": 0.0, "tau_mem_s": 0.01, "curvature": 2.0, "critical": 0.5, "reset_to": 0.0},
        "qif",
        {"resistance": 1.0},
        "bits",
    ),
    (
        "glif",
        {"gate_leak": 1.0, "gate_input": 0.0, "gate_reset": 1.0, "learn": "none"},
        "leaky",
        {"reset": "zero"},
        "rounding",
    ),
    (
        "lapicque",
        {"resistance_ohm": 1.0, "capacitance_f": 0.01},
        "leaky",
        {"beta": 0.9, "input_gain": "one_minus_beta"},
        "rounding",
    ),
    ("escape_noise", {"softness": 1e-6}, "leaky", {}, "bits"),
    (
        "se_adlif",
        {"a": 0.3, "b": 0.2, "q": 1.0, "reset": "none", "input_gain": "one_minus_beta"},
        "adlif",
        {"a": 0.3, "b": 0.2, "reset": "none", "gain": 1},
        "scaled",
    ),
]


@pytest.mark.one_in(5)
@pytest.mark.parametrize(("name", "changes", "other", "options", "how"), LIMITS, ids=lambda each: str(each)[:24])
def test_limits_in_which_models_agree(name, changes, other, options, how):
    """Must match where the extra numbers are 0; must differ at the entry's own numbers."""
    if how == "scaled":  # adlif adds a u and b s whole, se_adlif times 1 - rho
        rho = recipe("adlif")[1]["rho"]
        options = {"a": options["a"] * (1 - rho), "b": options["b"] * (1 - rho), "reset": "none"}
    reference = make(other, **options)
    current = (20 if name == "lapicque" or how == "scaled" else 2) * drive(name, reference, steps=60)
    expected = run(reference, current)
    assert 0 < expected.output.mean() < 1
    found = run(make(name, **changes), current)
    if how == "bits":
        assert torch.equal(found.output, expected.output)
        assert torch.equal(found.u, expected.u)
    else:
        torch.testing.assert_close(found.u, expected.u, rtol=1e-9, atol=1e-9)
    if name != "lapicque":  # which has no number more than a leaky neuron
        assert not torch.equal(run(make(name), current).u, found.u)


def test_ternary_is_odd():
    """Must match: the negative of everything for the negative input. Must differ: a leaky neuron."""
    neuron = make("ternary")
    current = drive("ternary", neuron, steps=60)
    found, mirrored = run(neuron, current), run(neuron, -current)
    assert torch.equal(found.output, -mirrored.output)
    assert (found.output < 0).any()
    assert not torch.equal(run(make("leaky"), current).output, found.output)


def test_what_a_multi_spike_neuron_keeps_is_less_than_it_could_send():
    """Expected: after its resets |u| at most half a threshold (rounding), or in [0, 1) (counting)."""
    current = torch.linspace(-0.4, 3.9, 60, dtype=torch.float64).view(60, 1, 1)
    for offset, low, high in ((0.5, -0.5, 0.5), (0.0, 0.0, 1.0)):
        found = run(make("multi_spike", size=1, beta=0.0, most=4, offset=offset, reset="none"), current)
        left = found.u.flatten() + (1 - offset) - found.output.flatten()
        positive = current.flatten() > 0
        assert set(found.output.unique().tolist()) == {0.0, 1.0, 2.0, 3.0} | ({4.0} if offset else set())
        assert (left[positive] >= low).all()
        assert (left[positive] <= high).all()


def test_a_chain_of_sigma_deltas_is_a_network_of_rectifiers():
    """Expected: a rectifier of a rectifier of the summed input, each off by at most its threshold."""
    current = drive("sigma_delta", make("sigma_delta"), steps=80)
    first = run(make("sigma_delta", threshold=0.1), current)
    second = run(make("sigma_delta", threshold=0.05, bias=-0.5), 2 * first.output)
    hidden = current.cumsum(0).relu()
    top = (2 * hidden - 0.5).relu()
    assert (first.output.cumsum(0) - hidden).abs().max() <= 0.1 + 1e-12
    assert (second.output.cumsum(0) - top).abs().max() <= 2 * 0.1 + 0.05 + 1e-12
    assert ((first.output == 0).double().mean() > 0.02) & ((first.output < 0).any())
