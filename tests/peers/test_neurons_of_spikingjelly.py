"""Elementwise neurons against SpikingJelly's over 200 steps, with gradients: it gets our surrogate.

What it does otherwise is pinned by a test that must differ; `make test-peers` runs it.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sgbench.surrogates.rectangle import Rectangle
from tests.catalogue.neuron_cases import SIZE, make, run, surrogate
from tests.peers.elementwise import ABSENT, STEPS, close, currents, ours

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the libraries, while they are imported
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed; make test-peers installs it"),
]


def spikingjelly(node: nn.Module, current: Tensor) -> tuple[Tensor, Tensor]:
    """What it sends, and v after each reset."""
    node = node.double()
    sent, potentials = [], []
    for now in current:
        sent.append(node(now))
        potentials.append(node.v)
    return torch.stack(sent), torch.stack(potentials)


def jelly(name: str, **options: Any) -> nn.Module:
    module = importlib.import_module("spikingjelly.activation_based.neuron")
    return getattr(module, name)(**{"surrogate_function": surrogate(), **options})


TAU, BETA = 2.5, 0.6
ATTACHED = ("ComplementaryLIFNode", "CUBALIFNode")
ONE_MINUS = {"beta": BETA, "input_gain": "one_minus_beta"}
JELLY: list[tuple[str, dict[str, Any], str, dict[str, Any], float]] = [
    ("IFNode", {}, "integrate_and_fire", {"reset": "zero"}, 0.4),
    ("IFNode", {"v_reset": None}, "integrate_and_fire", {"reset": "subtract_decayed"}, 0.4),
    ("LIFNode", {"tau": TAU}, "leaky", {"reset": "zero", **ONE_MINUS}, 2.0),
    ("LIFNode", {"tau": TAU, "v_reset": None}, "leaky", {"reset": "subtract_decayed", **ONE_MINUS}, 2.0),
    ("LIFNode", {"tau": TAU, "decay_input": False}, "leaky", {"reset": "zero", "beta": BETA}, 0.8),
    ("CUBALIFNode", {"c_decay": 0.5, "v_decay": 0.75, "v_threshold": 1.0}, "synaptic",
     {"reset": "zero", "alpha": 0.5, "beta": 0.75}, 0.5),
    ("KLIFNode", {"tau": TAU}, "klif", {"reset": "zero", **ONE_MINUS}, 2.0),
    ("KLIFNode", {"tau": TAU, "v_reset": None}, "klif", {"reset": "subtract_decayed", **ONE_MINUS}, 2.0),
    ("ComplementaryLIFNode", {"tau": TAU}, "clif", {"beta": BETA}, 0.8),
    ("LIAFNode", {"tau": TAU, "act": torch.relu, "threshold_related": True}, "liaf",
     {"reset": "zero", **ONE_MINUS}, 2.0),
    ("LIAFNode", {"tau": TAU, "act": torch.tanh, "threshold_related": True}, "liaf",
     {"reset": "zero", "activation": "tanh", **ONE_MINUS}, 2.0),
    ("EIFNode", {"tau": 10.0, "delta_T": 0.1, "theta_rh": 0.8, "v_reset": 0.0}, "eif", {"resistance": 1.0}, 2.0),
    ("EIFNode", {"tau": 10.0, "delta_T": 0.1, "theta_rh": 0.8, "v_reset": None}, "eif",
     {"reset": "subtract_decayed", "resistance": 1.0}, 2.0),
    ("QIFNode", {"tau": 10.0, "v_c": 0.5, "a0": 2.0, "v_reset": 0.0}, "qif", {"resistance": 1.0}, 2.0),
    ("RAFNode", {"b": -20.0, "omega": 200.0, "dt": 0.001}, "resonate_and_fire", {"reset": "zero"}, 0.3),
    ("RAFNode", {"b": -20.0, "omega": 200.0, "dt": 0.001, "v_reset": None}, "resonate_and_fire",
     {"reset": "subtract_decayed"}, 0.3),
    ("TernaryLIFNode", {"tau": TAU, "v_reset": None}, "ternary", {"reset": "subtract_decayed", **ONE_MINUS}, 3.0),
    ("TernaryIFNode", {"v_reset": None}, "ternary", {"reset": "subtract_decayed", "beta": 1.0}, 0.7),
]  # fmt: skip


@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.parametrize(("theirs", "options", "name", "changes", "spread"), JELLY, ids=lambda each: str(each)[:30])
def test_spikingjelly(theirs, options, name, changes, spread, detached):
    """Expected: what it sends, its v after the reset, and the current's gradient."""
    if theirs in ATTACHED and detached:
        pytest.skip("it knows no detached reset")
    one = {} if theirs in ATTACHED else {"detach_reset": detached}
    current = currents(spread)
    expected, v = spikingjelly(jelly(theirs, **options, **one), current)
    neuron = make(name, reset_gradient="detached" if detached else "attached", **changes)
    found, kept = ours(neuron, current)
    assert 0.02 < (expected > 0).double().mean() < 0.9
    if neuron.sends == "real":
        close(found, expected, "output")
    else:
        assert torch.equal(found.detach(), expected.detach().double())
    close(kept, v, "v")
    weights = torch.arange(current.numel(), dtype=torch.float64).cos().view_as(current)
    mine, other = (torch.autograd.grad((weights * each).sum(), current)[0] for each in (found, expected))
    close(mine, other, "gradient of the current")


def test_spikingjelly_learns_the_same_decay_and_scale():
    """Expected: the gradient of PLIF's w is that of our logit with its sign turned; k's is ours."""
    current = currents(2.0)
    weights = torch.arange(current.numel(), dtype=torch.float64).cos().view_as(current)
    for name, theirs, parameter, factor in (
        ("plif", jelly("ParametricLIFNode", init_tau=TAU), "w", -1.0),
        ("klif", jelly("KLIFNode", tau=TAU), "k", 1.0),
    ):
        neuron = make(name, beta=BETA)
        if name == "plif":
            neuron.beta.logit.data.copy_(-theirs.w.data)  # it rounds its own to float32
        expected, _ = spikingjelly(theirs, current)
        found, _ = ours(neuron, current)
        assert torch.equal(found, expected)
        (mine,) = torch.autograd.grad((weights * found).sum(), list(neuron.parameters()))
        (other,) = torch.autograd.grad((weights * expected).sum(), getattr(theirs, parameter))
        close(mine, factor * other, parameter)


def test_spikingjelly_integer():
    """Expected: I-LIF with four spikes at most, 200 steps; its straight-through window is our rectangle."""
    module = importlib.import_module("spikingjelly.activation_based.surrogate")
    theirs = jelly("ILIFNode", tau=4 / 3, surrogate_function=module.MultiLevelSpikeCount(4), detach_reset=True)
    current = currents(1.2)
    expected, v = spikingjelly(theirs, current)
    neuron = make("integer")
    neuron.surrogate = Rectangle(slope=None, width_fwhm=1.0, normalisation="peak1", scale=1.0)
    found, kept = ours(neuron, current)
    assert torch.equal(found.detach(), expected.detach())
    assert expected.max() >= 3
    close(kept, v, "v")
    mine, other = (torch.autograd.grad(each.square().sum(), current)[0] for each in (found, expected))
    close(mine, other, "gradient of the current")


def test_spikingjelly_gated():
    """Expected: GLIF with one gain for all steps; spikes and the gradients of all eight numbers."""
    theirs = jelly("GatedLIFNode", T=STEPS, inplane=SIZE, init_v_threshold=0.5).double()
    current = currents(0.8)
    expected = theirs(current[..., None, None])[..., 0, 0]
    neuron = make("glif", threshold=0.5, learn_threshold="per_neuron", reset_gradient="attached")
    names = {
        "gate_leak": "alpha", "gate_input": "beta", "gate_reset": "gamma", "beta": "tau", "input_scale": "conduct",
        "linear_leak": "linear_decay", "subtracted": "v_subreset", "threshold": "v_threshold",
    }  # fmt: skip
    for mine, other in names.items():
        raw = getattr(theirs, other)
        value = torch.sigmoid(raw[0] if other == "conduct" else raw).detach()
        number = getattr(neuron, mine)
        (parameter,) = number.parameters()
        parameter.data = value.log() if hasattr(number, "logarithm") else torch.logit(value)
    found = run(neuron, current).output
    assert torch.equal(found, expected.double())
    assert 0.02 < found.mean() < 0.9
    weights = torch.arange(current.numel(), dtype=torch.float64).cos().view_as(current)
    ours_by = torch.autograd.grad((weights * found).sum(), [current, *neuron.parameters()])
    keys = ["current", *(name.partition(".")[0] for name, _ in neuron.named_parameters())]
    theirs_by = torch.autograd.grad(
        (weights * expected).sum(), [current, *(getattr(theirs, names[key]) for key in keys[1:])]
    )
    for key, mine, other in zip(keys, ours_by, theirs_by, strict=True):
        if key in ("linear_leak", "subtracted", "threshold"):  # a sigmoid there, an exponential here
            close(mine * (1 - torch.sigmoid(getattr(theirs, names[key]))), other, key)
        else:
            close(mine, other.sum(0) if key == "input_scale" else other, key)


def test_spikingjelly_izhikevich_recovers_from_the_new_potential():
    """Must differ. Pinned: its w follows v behind the step of v, ours and Norse's v before it. If this fails, it
    has changed: add it to `JELLY`."""
    theirs = jelly("IzhikevichNode", tau=4.0, v_c=0.15, a0=4.0, v_rest=0.0, v_reset=0.05, tau_w=200.0, a=0.2, b=0.08)
    current = torch.zeros(2, 1, SIZE, dtype=torch.float64)
    current[0] = 0.4
    spikingjelly(theirs, current[:1])
    assert theirs.v[0, 0].item() == pytest.approx(0.05 + (0.4 - 4 * 0.05 * 0.1) / 4)  # from v_reset, where it starts
    assert theirs.w[0, 0].item() == pytest.approx(0.2 * 0.145 / 200)
    state = run(make("izhikevich"), current[:1]).state
    assert state.w[0, 0].item() == 0
