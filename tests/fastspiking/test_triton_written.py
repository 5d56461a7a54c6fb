"""The Triton programs that are written for a step, without Triton, and what its engine refuses.

Expected: the engine `reference`, which calls the very `step`. Programs run in NumPy here (`tiles_in_numpy`);
`test_triton.py` runs and compiles them by Triton itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from fastspiking.choose import PREFERRED, Engine
from fastspiking.codegen.build import module_of
from fastspiking.codegen.program import record
from fastspiking.codegen.triton_source import FUNCTIONS, HEAD, TritonSource
from fastspiking.codegen.values import Untraceable, Value
from sgbench.errors import InputError
from tests.fastspiking.cases import SINGLE, WIRINGS, Given, Wired, assert_same, catalogued, error, neuron, spikes
from tests.fastspiking.test_generated import learning
from tests.fastspiking.tiles_in_numpy import tiles_in_numpy
from tests.fastspiking.triton_cases import X, both

REFUSED = "^engine=triton: layer 'hidden0' cannot run there: {}; use engine=auto$"


@pytest.fixture
def in_numpy() -> Iterator[None]:
    """Programs run in NumPy."""
    with tiles_in_numpy():
        yield


# --- equal to the reference


@pytest.mark.one_in(4)
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("kind", ["adlif", "spiking_lstm", "refractory"])
@pytest.mark.usefixtures("in_numpy")
def test_neurons(kind, wiring):
    """Expected: spikes equal; potentials, states and all gradients to 1e-12; one current, four, counts of steps."""
    found, expected = both(Wired(6, learning(kind), 3, gain=3.0, wiring=wiring))
    assert expected.output[0].any()
    assert_same(found, expected)


@pytest.mark.parametrize("kind", ["adex", "escape_noise", "multi_spike", "noisy", "sgru", "tc_lif"])
@pytest.mark.usefixtures("in_numpy")
def test_operations(kind):
    """Expected: as above; exp, expm1, round, tanh, sigmoid, and numbers that are drawn before the first step."""
    found, expected = both(Wired(6, learning(kind), 3, gain=3.0))
    assert expected.output[0].any()
    assert_same(found, expected)


@pytest.mark.parametrize("shape", ["stochastic_backward", "squarewave_fourier", "q_pseudo_spike", "circ"])
@pytest.mark.usefixtures("in_numpy")
def test_surrogates(shape):
    """Expected: as above; noise on the way back, cos and round, log1p, sqrt."""
    made = catalogued(shape)
    found, expected = both(Wired(6, neuron("qif", 3, surrogate=made), 3, gain=3.0))
    assert_same(found, expected)


@pytest.mark.parametrize(("steps", "batch", "size"), [(1, 1, 1), (2, 5, 33), (3, 17, 16), (2, 2, 65)])
@pytest.mark.usefixtures("in_numpy")
def test_sizes(steps, batch, size):
    """Expected: as above; several tiles of samples and of neurons, the last of them part empty."""
    for wiring in (WIRINGS[0], WIRINGS[3]):
        layer = Wired(6, learning("alif", size), size, gain=3.0, wiring=wiring)
        assert_same(*both(layer, spikes(steps, batch, 6, 0.5)), (wiring, size))


@pytest.mark.usefixtures("in_numpy")
def test_images():
    """Expected: as above, with features [C, H, W] that lie as [H, W, C]."""
    current = 3 * spikes(4, 2, 24, 0.5).reshape(4, 2, 2, 3, 4)
    for laid in (current, current.flatten(0, 1).contiguous(memory_format=torch.channels_last).view_as(current)):
        assert_same(*both(Given(neuron("leaky", 1)), laid))


@pytest.mark.parametrize("wiring", [WIRINGS[0], WIRINGS[3]])
@pytest.mark.usefixtures("in_numpy")
def test_windows(wiring):
    """Expected: as above, where gradient goes back three steps at most; must differ from all of them."""
    layer = Wired(6, learning("adlif"), 3, gain=3.0, wiring=wiring)
    found, expected = both(layer, window=3)
    assert_same(found, expected)
    assert error(both(layer)[0].gradients["0.weight"], found.gradients["0.weight"]) > 1e-3


@pytest.mark.usefixtures("in_numpy")
def test_a_chain():
    """Expected: as above; the gradient of a loss of the last layer reaches the first one's weights."""
    layers = [
        Wired(6, learning("leaky", 5), 5, gain=3.0),
        Wired(5, learning("alif", 4), 4, gain=3.0, wiring=WIRINGS[3], name="hidden1"),
        Wired(4, neuron("leaky_readout", 3), 3, gain=1.0, name="readout"),
    ]
    found, expected = both(layers)
    assert expected.gradients["0.weight"].any()
    assert_same(found, expected)


@pytest.mark.usefixtures("in_numpy")
def test_single_precision():
    """Expected: spikes equal, the rest to 1e-5 of the reference in the same precision."""
    for wiring in (WIRINGS[0], WIRINGS[3]):
        layer = Wired(6, learning("alif"), 3, gain=3.0, wiring=wiring).float()
        assert_same(*both(layer, X.float()), rtol=SINGLE)
        layer.coarse = torch.bfloat16  # of what torch multiplies; what is fed back stays as fine as the states
        assert_same(*both(layer, X.float()), rtol=SINGLE)


@pytest.mark.usefixtures("in_numpy")
def test_without_gradient_no_step_is_kept():
    """Expected: outputs and last state equal with and without gradient, and no history."""
    layer = Wired(6, learning("adlif"), 3, gain=3.0, wiring=WIRINGS[3])
    there = Engine("triton").unroll([layer], X, keep_u=True)[0]
    with torch.no_grad():
        alone = Engine("triton").unroll([layer], X, keep_u=True)[0]
    assert there.output.requires_grad
    assert not alone.output.requires_grad
    pairs = zip((there.output, there.u, *there.state), (alone.output, alone.u, *alone.state), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


NUMPY = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "minimum": np.minimum, "maximum": np.maximum, "round": np.rint,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.usefixtures("in_numpy")
def test_functions(name, kind):
    """Expected: NumPy's, to eight units in the last place, near 0, far from it, at halves and at no number."""
    module = module_of(HEAD + "".join(FUNCTIONS.values()))
    x = np.array([-90, -8.5, -2.5, -1.5, -0.5, -3e-6, 0, 2e-5, 0.25, 0.5, 1.5, 2.5, 7, 60, np.nan], kind)
    x = x[x > -1] if name == "log1p" else x[~np.isnan(x)] if name == "tan" else x
    others = (x[::-1].copy(),) if name in ("minimum", "maximum") else ()
    with np.errstate(all="ignore"):
        found = getattr(module, name)(x, *others)
        expected = NUMPY.get(name, getattr(np, name, None))(x, *others)
    assert found.dtype == kind
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(kind).eps, atol=0)


# --- what is written


def test_states_stay_in_registers():
    """Expected: forward each field is read once, before the steps, and each array is moved once a step."""
    layer = Wired(6, learning("adlif"), 3, gain=3.0, wiring=WIRINGS[3]).float()
    text = TritonSource(record(layer, (2, 3), torch.float32, keep_u=True, learns=True), torch.float32, 3).text
    forward, backward = text.split("@triton.jit")[1:]
    before, steps = forward.split("for _ in range(steps):")
    assert [before.count(f"tl.load(state_{field} ") for field in range(3)] == [1, 1, 1]
    assert "tl.load(state" not in steps
    assert (before.count("tl.load(matrix"), steps.count("tl.load(matrix")) == (1, 0)
    assert steps.count("tl.dot(") == 1
    assert backward.split("for _ in range(steps):")[1].count("tl.dot(") == 1
    assert sorted(line.strip().split(" ")[0] for line in steps.splitlines() if "+=" in line) == [
        "current", "out_centred", "recurrent", "state_0", "state_1", "state_2",
    ]  # fmt: skip


def test_numbers_are_handed_to_a_text():
    """Expected: one text for a sweep over a time constant; another one for another reset."""
    texts = set()
    for changes in ({"tau_mem_s": 0.02}, {"tau_mem_s": 0.03}):
        program = record(Given(neuron("adex", 3, **changes)).float(), (2, 3), torch.float32, keep_u=False, learns=True)
        texts.add(TritonSource(program, torch.float32, 3).text)
    assert len(texts) == 1
    other = record(Given(neuron("adex", 3, reset="subtract")).float(), (2, 3), torch.float32, keep_u=False, learns=True)
    assert TritonSource(other, torch.float32, 3).text not in texts


def test_an_operation_that_triton_lacks():
    """Expected: its name; must differ: nothing is said of one that is made of others."""
    program = record(Given(neuron("leaky", 3)), (2, 3), torch.float64, keep_u=False, learns=False)
    (output,) = program.outputs["output"]
    for operation, reason in (("atan", "its step computes atan, which Triton's language lacks"), ("tanh", None)):
        program.outputs["output"] = (Value(operation, (output,)),)
        if reason is None:
            assert "def tanh(x):" in TritonSource(program, torch.float64, 3).text
            continue
        with pytest.raises(Untraceable, match=reason):
            TritonSource(program, torch.float64, 3)


# --- what is refused


def refused(reason: str, **wiring: Any) -> None:
    """One line with the reason."""
    with pytest.raises(InputError, match=REFUSED.format(reason)) as caught:
        Engine("triton").pick(Wired(2, neuron("leaky", 130), 130, gain=1.0, **wiring))
    assert "\n" not in str(caught.value)


def test_without_triton(monkeypatch):
    """Expected: the remedy."""
    monkeypatch.setitem(sys.modules, "triton", None)
    refused(r"triton is not installed: pip install 'sgbench\[triton\]'")


def test_without_a_card(monkeypatch):
    """Expected: two remedies."""
    there = ModuleType("triton")
    there.__spec__ = ModuleSpec("triton", None)
    monkeypatch.setitem(sys.modules, "triton", there)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    refused("its programs run on a CUDA device, not on cpu: choose .*device=cuda, or set TRITON_INTERPRET=1 .*")


@pytest.mark.usefixtures("in_numpy")
def test_a_recurrence_that_is_too_wide():
    """Expected: 256^2 weights of 8 bytes are 512 KiB; must differ: 130 neurons without it, and 128 with it, run."""
    refused("the weights that feed back its 130 neurons take 512 KiB .*, which holds 128", wiring=WIRINGS[3])
    for size, wiring in ((130, WIRINGS[0]), (130, WIRINGS[1]), (128, WIRINGS[3])):
        layer = Wired(2, neuron("leaky", size), size, gain=1.0, wiring=wiring)
        assert Engine("triton").pick(layer) == ("triton", "asked for")


@pytest.mark.usefixtures("in_numpy")
def test_auto_takes_it_nowhere():
    """Expected: not among those that auto tries, where it could run."""
    assert "triton" not in PREFERRED
    assert Engine("auto").pick(Wired(2, neuron("adex", 3), 3, gain=1.0))[0] == "generated"
