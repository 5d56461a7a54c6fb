"""Elementwise neurons against the libraries that have them, over 200 steps; `make test-peers` runs it.

SpikingJelly gets our surrogate, so that gradients are compared too; of Norse, sinabs and spyx, spikes and states.
What a library does otherwise is pinned by a test that must differ.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sgbench.neurons.base import Neuron
from sgbench.surrogates.rectangle import Rectangle
from tests.catalogue.neuron_cases import BATCH, SIZE, make, run, surrogate

LIBRARIES = ("spikingjelly", "norse", "sinabs", "spyx")
ABSENT = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the libraries, while they are imported
    pytest.mark.skipif(
        bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed; make test-peers installs it"
    ),
]
STEPS = 200
RTOL = 1e-9


def currents(spread: float, mean: float = 0.3) -> Tensor:
    """Random [T, B, N], in float64."""
    random = torch.Generator().manual_seed(6)
    drawn = torch.randn(STEPS, BATCH, SIZE, generator=random, dtype=torch.float64)
    return (spread * (mean + drawn)).requires_grad_()


def close(found: Tensor, expected: Tensor, what: str) -> None:
    largest = expected.abs().max().item()
    assert largest > 0, what
    off = (found - expected).abs().max().item()
    assert off <= RTOL * largest, f"{what}: off by {off:.1e} of {largest:.1e}"


# --- SpikingJelly


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
@pytest.mark.parametrize(
    ("theirs", "options", "name", "changes", "spread"), JELLY, ids=lambda each: str(each)[:30]
)
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


def ours(neuron: Neuron, current: Tensor) -> tuple[Tensor, Tensor]:
    """What is sent, and u after its reset."""
    state = neuron.initial_state(current[0])
    sent, kept = [], []
    for now in current:
        out, state = neuron.step(now, state)
        threshold = neuron.threshold()
        if type(neuron).__name__ == "Clif":
            threshold = threshold + torch.sigmoid(state.m)
        fired = state.fired if "fired" in state._fields else state.s
        sent.append(out)
        kept.append(neuron.next_potential.before(state.u, fired, threshold))
    return torch.stack(sent), torch.stack(kept)


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
    theirs = jelly(
        "ILIFNode", tau=4 / 3, surrogate_function=module.MultiLevelSpikeCount(4), detach_reset=True
    )
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
    theirs = jelly(
        "IzhikevichNode", tau=4.0, v_c=0.15, a0=4.0, v_rest=0.0, v_reset=0.05, tau_w=200.0, a=0.2, b=0.08
    )
    current = torch.zeros(2, 1, SIZE, dtype=torch.float64)
    current[0] = 0.4
    spikingjelly(theirs, current[:1])
    assert theirs.v[0, 0].item() == pytest.approx(
        0.05 + (0.4 - 4 * 0.05 * 0.1) / 4
    )  # from v_reset, where it starts
    assert theirs.w[0, 0].item() == pytest.approx(0.2 * 0.145 / 200)
    state = run(make("izhikevich"), current[:1]).state
    assert state.w[0, 0].item() == 0


# --- Norse


def norse(module: str) -> Any:
    return importlib.import_module(f"norse.torch.functional.{module}")


def tensor(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def rolled(
    step: Callable, state: Any, current: Tensor, *rest: Any, dt: float = 0.001
) -> tuple[Tensor, list[Any]]:
    """Spikes and states of a functional step of Norse."""
    spikes, states = [], []
    for now in current.detach():
        sent, state = step(now, state, *rest, dt)
        spikes.append(sent)
        states.append(state)
    return torch.stack(spikes), states


def assert_norse(
    name: str, spikes: Tensor, states: dict[str, Tensor], current: Tensor, **changes: Any
) -> None:
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
        "refractory",
        spikes,
        kept,
        current,
        reset="zero",
        period_s=0.005,
        beta=0.9,
        input_gain="one_minus_beta",
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
            "conductance",
            step_s=dt,
            threshold=50.0,
            alpha_excitatory=1 - 200 * dt,
            alpha_inhibitory=1 - 100 * dt,
        )
        u = run(neuron, current).u + 50
        v = torch.stack([state.v for state in states])
        off.append((u - v).abs().max().item() / v.abs().max().item())
    assert off[0] < 0.05
    assert off[0] / off[1] == pytest.approx(2, rel=0.15)


# --- sinabs and spyx


def test_sinabs_multi_spike():
    """Expected: LIF with MultiSpike and normalised input, 200 steps; spikes and potential after the reset."""
    layers = importlib.import_module("sinabs.layers.lif")
    spikes = importlib.import_module("sinabs.activation.spike_generation")
    resets = importlib.import_module("sinabs.activation.reset_mechanism")
    layer = layers.LIF(
        tau_mem=10.0, spike_fn=spikes.MultiSpike, reset_fn=resets.MembraneSubtract(), norm_input=True,
        record_states=True,
        spike_threshold=tensor(1.0),
    ).double()  # fmt: skip
    current = currents(12.0).detach()
    expected = layer(current.transpose(0, 1)).transpose(0, 1)
    neuron = make(
        "multi_spike", beta=math.exp(-0.1), most=9, input_gain="one_minus_beta", reset="subtract_decayed"
    )
    found, kept = ours(neuron, current)
    assert expected.max() >= 2
    assert torch.equal(found.detach(), expected.double())
    close(kept.detach(), layer.recordings["v_mem"].transpose(0, 1).double(), "v_mem")


def test_spyx_fires_a_step_later():
    """Expected: IF, LIF and CuBaLIF have our potentials and, one step later, our spikes; in float32."""
    jax, nn_ = importlib.import_module("jax.numpy"), importlib.import_module("spyx.nn")
    flax = importlib.import_module("flax.nnx")
    current = currents(0.7).detach().float()
    for kind, name, options, changes in (
        ("IF", "integrate_and_fire", {}, {}),
        ("LIF", "leaky", {"beta": 0.8}, {"beta": 0.8}),
        (
            "CuBaLIF",
            "synaptic",
            {"alpha": 0.6, "beta": 0.8},
            {"alpha": 0.6, "beta": 0.8, "reset": "subtract_decayed"},
        ),
    ):
        layer = getattr(nn_, kind)((SIZE,), **options, **({} if kind == "IF" else {"rngs": flax.Rngs(0)}))
        state = layer.initial_state(BATCH)
        sent, potentials = [], []
        for now in current:
            out, state = layer(jax.asarray(now.numpy()), state)
            sent.append(torch.tensor(out.tolist()))
            potentials.append(torch.tensor(state.tolist())[..., :SIZE])
        found = run(make(name, **changes).float(), current)
        assert 0.02 < found.output.mean() < 0.9
        assert torch.equal(torch.stack(sent)[1:], found.output[:-1]), kind
        torch.testing.assert_close(torch.stack(potentials), found.u + 1.0, rtol=1e-4, atol=1e-4)
