"""Sequence and gated neurons against the libraries that have them, over 200 steps; `make test-peers` runs it.

Both sides get the same surrogate, so that gradients are compared too.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import DenseLayer
from sgbench.networks.delayed import DelayedLayer
from sgbench.neurons.base import Neuron
from sgbench.neurons.gru import SpikingGru
from sgbench.neurons.lstm import SpikingLstm
from sgbench.neurons.parallel_leaky import ParallelLeaky
from sgbench.neurons.psn import MaskedPsn, Psn, SlidingPsn
from sgbench.surrogates.atan import Atan

LIBRARIES = ("spikingjelly", "spyx", "DCLS")
ABSENT = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the libraries, while they are imported
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed; make test-peers installs it"),
]
STEPS, BATCH, SIZE, INPUTS = 200, 3, 5, 4


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def draw(*shape: int, seed: int = 3, mean: float = 0.0, spread: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, generator=random, dtype=torch.float64) + mean


def assert_equal(spikes: Tensor, expected: Tensor, leaves: list[Tensor], theirs: list[Tensor]) -> None:
    """Spikes equal; gradients of a random linear functional within 1e-9 of their largest value."""
    assert 0.02 < spikes.mean() < 0.95
    assert torch.equal(spikes, expected)
    coefficients = draw(*spikes.shape, seed=7)
    found = torch.autograd.grad((coefficients * spikes).sum(), leaves)
    wanted = torch.autograd.grad((coefficients * expected).sum(), theirs)
    for one, other in zip(found, wanted, strict=True):
        largest = other.abs().max().item()
        assert largest > 0
        torch.testing.assert_close(one, other.view_as(one), rtol=1e-9, atol=1e-9 * largest)


PARALLEL: dict[str, tuple[Any, Any]] = {
    "PSN": (lambda: Psn, {}),
    "MaskedPSN": (lambda: MaskedPsn, {"order": 7, "mask": [1.0, 1.0]}),
    "MaskedPSN, half masked": (lambda: MaskedPsn, {"order": 7, "mask": [0.5, 0.5]}),
    "SlidingPSN": (lambda: SlidingPsn, {"order": 7}),
}


@pytest.mark.parametrize("name", PARALLEL)
def test_parallel_spiking_neurons_are_spikingjellys(name):
    """Must match: the library's class with our weights; a sliding filter lies in the order of time there."""
    neuron_module = importlib.import_module("spikingjelly.activation_based.neuron")
    make, options = PARALLEL[name]
    sliding = name == "SlidingPSN"
    sizes = {} if sliding else {"steps": STEPS}
    ours = make()(
        surrogate(), torch.Generator().manual_seed(1), **sizes, **options, threshold=1.0, beta=0.5, start="uniform"
    )
    kind = getattr(neuron_module, name.split(",")[0])
    known = {"k": 7} if "order" in options else {}
    known |= {} if sliding else {"T": STEPS}
    known |= {"lambda_init": options["mask"][0]} if "mask" in options else {}
    known |= {} if name == "PSN" else {"step_mode": "m"}
    theirs = kind(**known, surrogate_function=surrogate()).double()
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.flip(0) if sliding else ours.weight)
        theirs.bias.copy_(-ours.threshold if sliding else -ours.threshold[:, None])
    x = draw(STEPS, BATCH, SIZE, mean=0.5, spread=20.0 if name == "MaskedPSN" else 3.0)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    spikes, expected = ours.unroll(one)[0], theirs(other)
    assert_equal(spikes, expected, [one], [other])
    (weight,) = torch.autograd.grad((draw(*x.shape, seed=7) * ours.unroll(one)[0]).sum(), ours.weight)
    (wanted,) = torch.autograd.grad((draw(*x.shape, seed=7) * theirs(other)).sum(), theirs.weight)
    torch.testing.assert_close(weight, wanted.flip(0) if sliding else wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("name", "neuron"), [("SpikingLSTM", SpikingLstm), ("SpikingGRU", SpikingGru)])
def test_spiking_gates_are_spikingjellys(name, neuron):
    """Must match: the library's network of one layer with our weights, hidden state by hidden state."""
    rnn = importlib.import_module("spikingjelly.activation_based.rnn")
    made: Neuron = neuron(surrogate())
    layer = DenseLayer("hidden0", INPUTS, SIZE, made, recurrence="all_to_all")
    rows = made.currents * SIZE
    with torch.no_grad():
        layer.weight.copy_(draw(rows, INPUTS, seed=4))
        layer.recurrent.copy_(draw(rows, SIZE, seed=5))
    theirs = getattr(rnn, name)(INPUTS, SIZE, 1, bias=False, surrogate_function1=surrogate()).double()
    with torch.no_grad():
        theirs.cells[0].linear_ih.weight.copy_(layer.weight)
        theirs.cells[0].linear_hh.weight.copy_(layer.recurrent)
    x = draw(STEPS, BATCH, INPUTS)
    (run,) = Engine("reference").unroll([layer], x)
    expected, _ = theirs(x)
    leaves = [layer.weight, layer.recurrent]
    assert_equal(run.output, expected, leaves, [theirs.cells[0].linear_ih.weight, theirs.cells[0].linear_hh.weight])


@pytest.mark.parametrize("iterations", [0, 1, 3, 199])
def test_parallel_leaky_is_spyx_one_step_later(iterations):
    """Must match: spyx 1.0 `ParallelResetLIF.parallel`, which fires on the potential before the step's input."""
    nnx = importlib.import_module("flax.nnx")
    jax = importlib.import_module("jax")
    experimental = importlib.import_module("spyx.experimental")
    theirs = experimental.ParallelResetLIF((SIZE,), beta=0.5, rngs=nnx.Rngs(0))
    x = draw(STEPS, BATCH, SIZE, mean=0.4)
    expected = np.asarray(theirs.parallel(jax.numpy.asarray(x.numpy()), K=iterations))
    options = {"learn_beta": "none", "learn_threshold": "none", "reset_gradient": "attached", "reset": "subtract"}
    ours = ParallelLeaky(surrogate(), beta=0.5, threshold=1.0, iterations=iterations, **options)
    spikes, u, _ = ours.unroll(x)
    assert u.abs().min() > 1e-6, "no potential lies so near threshold that float32 could turn it"
    assert 0.02 < spikes.mean() < 0.95
    assert np.array_equal(spikes[:-1].numpy(), expected[1:])
    assert not expected[0].any()


@pytest.mark.parametrize(("kernel", "version"), [("gaussian", "gauss"), ("triangle", "v1")])
def test_delays_are_those_of_dcls(kernel, version):
    """Must match: `Dcls1d` of DCLS 0.1.1 with one element per synapse, in currents and in gradients of delays.

    Its kernels lie in the order of time, positions count from the middle, its widths from 0.27 on; it adds 1e-7 to
    the sum that it divides by.
    """
    modules = importlib.import_module("DCLS.construct.modules")
    longest, sigma = 6, 1.3
    layer = DelayedLayer(
        "hidden0", INPUTS, SIZE, SpikingLstm(surrogate()), max_delay_steps=longest, kernel=kernel, bias=False
    )
    layer.reset_weights(Kaiming(gain=1.0, recurrent_gain=1.0), torch.Generator().manual_seed(2))
    layer.sigma_steps = sigma
    rows = layer.weight.shape[0]
    theirs = modules.Dcls1d(
        INPUTS, rows, kernel_count=1, dilated_kernel_size=longest + 1, bias=False, version=version
    ).double()
    delays = layer.delays().detach()
    with torch.no_grad():
        theirs.weight.copy_(layer.weight[..., None])
        theirs.P.copy_((longest - delays - (longest + 1) // 2)[None, ..., None])
        if theirs.SIG is not None:
            theirs.SIG.fill_(sigma - 0.27)
    x = draw(STEPS, BATCH, INPUTS)
    expected = theirs(torch.nn.functional.pad(x.movedim(0, -1), (longest, 0))).movedim(-1, 0)
    found = layer.current(x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    coefficients = draw(*found.shape, seed=7)
    (logit,) = torch.autograd.grad((coefficients * found).sum(), layer.delay_logit)
    (position,) = torch.autograd.grad((coefficients * expected).sum(), theirs.P)
    slope = delays * (1 - delays / longest)  # of a delay by its logit
    torch.testing.assert_close(logit, -position[0, ..., 0] * slope, rtol=1e-5, atol=1e-5)
