"""Elementwise neurons against those of sinabs and spyx over 200 steps; `make test-peers` runs it.

What they do otherwise is pinned by a test that must differ.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib
import importlib.util
import math

import pytest
import torch

from tests.catalogue.neuron_cases import BATCH, SIZE, make, run
from tests.peers.elementwise import ABSENT, close, currents, ours, tensor

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the libraries, while they are imported
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed; make test-peers installs it"),
]


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
    neuron = make("multi_spike", beta=math.exp(-0.1), most=9, input_gain="one_minus_beta", reset="subtract_decayed")
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
        ("CuBaLIF", "synaptic", {"alpha": 0.6, "beta": 0.8}, {"alpha": 0.6, "beta": 0.8, "reset": "subtract_decayed"}),
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
