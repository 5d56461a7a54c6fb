"""Networks of snnTorch from their state dictionaries: spikes and membranes equal to snnTorch's own, bit by bit.

Weights are whole numbers of 64ths and inputs 0 or 1, so that sums are exact in float32 in any order. Decays are
not, so a membrane to which snnTorch adds its recurrent current last may differ in its last bit.
"""

from __future__ import annotations

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES
from sgbench.errors import InputError
from sgbench.exchange.snntorch_weights import from_snntorch
from sgbench.surrogates.atan import Atan
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

STEPS, BATCH, INPUTS, HIDDEN, CLASSES = 200, 3, 6, 8, 4


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def dyadic(net: nn.Module) -> nn.Module:
    """Weights and biases as whole numbers of 64ths."""
    random = torch.Generator().manual_seed(2)
    for name, value in net.named_parameters():
        if name.rpartition(".")[2] in ("weight", "bias", "V"):
            drawn = torch.randn(value.shape, generator=random)
            gain = 0.3 if "recurrent" in name or name.endswith("V") else 0.1 if "bias" in name else 0.7
            value.data = (64 * gain * drawn).round() / 64
    return net


def spikes(inputs: int = INPUTS) -> Tensor:
    random = torch.Generator().manual_seed(5)
    return (torch.rand(STEPS, BATCH, inputs, generator=random) < 0.4).float()


def theirs(net: nn.Sequential, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Spikes of every layer [T, B, N] and membranes of the last, from a network that hides its states."""
    sent: dict[int, list[Tensor]] = {}
    membranes = []
    with torch.no_grad():
        for step in x:
            now = step
            for position, module in enumerate(net):
                now = module(now)
                if isinstance(module, snn.SpikingNeuron):
                    sent.setdefault(position, []).append(now.flatten(1))
            membranes.append(net[-1].mem.clone())
    return [torch.stack(each) for each in sent.values()], torch.stack(membranes)


def assert_same(net: nn.Sequential, x: Tensor, **options: object) -> None:
    """Spikes of all layers and the last membrane equal, on the reference and on the fastest engine."""
    expected, membranes = theirs(net, x)
    ours = from_snntorch(net.state_dict(), make_surrogate=surrogate, **options)
    for engine in ("reference", "auto"):
        ours.engine = Engine(engine)
        with torch.no_grad():
            found = ours.unroll(x.flatten(2), torch.full((BATCH,), STEPS), keep=frozenset({SPIKES, "u"}))
        for one, other in zip(found.spikes, expected, strict=True):
            assert 0.01 < one.mean() < 0.95
            assert torch.equal(one, other)
        centred = membranes - net[-1].threshold
        if hasattr(net[-1], "recurrent"):
            torch.testing.assert_close(found.u[-1], centred, rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(found.u[-1], centred)
    assert any(weight.requires_grad for weight in ours.parameters())


PAIRS = {
    "Leaky": lambda n, **options: snn.Leaky(beta=0.9, **options),
    "Leaky per neuron": lambda n, **options: snn.Leaky(beta=torch.linspace(0.5, 1.2, n), threshold=0.7, **options),
    "Synaptic": lambda n, **options: snn.Synaptic(alpha=0.7, beta=torch.linspace(0.5, 0.95, n), **options),
    "RLeaky": lambda n, **options: snn.RLeaky(beta=0.9, linear_features=n, **options),
    "RLeaky one to one": lambda n, **options: snn.RLeaky(beta=0.9, all_to_all=False, V=torch.rand(n), **options),
    "RSynaptic": lambda n, **options: snn.RSynaptic(alpha=0.7, beta=0.8, linear_features=n, **options),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("reset", ["subtract", "none", "zero"])
@pytest.mark.parametrize("name", PAIRS)
def test_dense_networks_are_snntorchs(name, reset):
    """Must match: snnTorch over 200 steps; refused where its reset to zero drops currents."""
    options = {"reset_mechanism": reset, "init_hidden": True}
    make = PAIRS[name]
    net = dyadic(
        nn.Sequential(
            nn.Linear(INPUTS, HIDDEN), make(HIDDEN, **options), nn.Linear(HIDDEN, CLASSES), make(CLASSES, **options)
        )
    )
    if reset == "zero" and not name.startswith("Leaky"):
        with raises_naming(InputError, "'1'", "reset_mechanism='zero'"):
            from_snntorch(net.state_dict(), make_surrogate=surrogate)
        return
    assert_same(net, spikes())


@pytest.mark.one_in(4)
@pytest.mark.parametrize("recurrent", [False, True])
def test_convolutional_networks_are_snntorchs(recurrent):
    """Must match: Conv2d padded by half its kernel, with a convolution among channels or without."""
    hidden = {"beta": 0.8, "threshold": 0.5, "init_hidden": True}
    among = snn.RLeaky(**hidden, conv2d_channels=3, kernel_size=3) if recurrent else snn.Leaky(**hidden)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        among,
        nn.Conv2d(3, 2, 3, padding=1, bias=False),
        snn.Leaky(**hidden),
        nn.Flatten(),
        nn.Linear(40, CLASSES),
        snn.Leaky(**hidden),
    )
    assert_same(dyadic(net), spikes(40).view(STEPS, BATCH, 2, 4, 5), image=[2, 4, 5])


def test_strides_are_told():
    """Must match: a stride of 2 that is told; refused where the sizes then do not fit."""
    options = {"beta": 0.8, "threshold": 0.5, "init_hidden": True}
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1),
        snn.Leaky(**options),
        nn.Flatten(),
        nn.Linear(18, 2),
        snn.Leaky(**options),
    )
    x = spikes(20).view(STEPS, BATCH, 1, 4, 5)
    assert_same(dyadic(net), x, image=[1, 4, 5], stride=2)
    with raises_naming(InputError, "'3'", "18", "(3, 4, 5)"):
        from_snntorch(net.state_dict(), make_surrogate=surrogate, image=[1, 4, 5])


def test_a_reset_within_the_step():
    """Must match: reset zero without delay, which is the same; refused where it subtracts."""

    def made(reset: str) -> nn.Sequential:
        options = {"beta": 0.9, "reset_mechanism": reset, "reset_delay": False, "init_hidden": True}
        return dyadic(nn.Sequential(nn.Linear(INPUTS, CLASSES), snn.Leaky(**options)))

    net = made("zero")
    expected, _ = theirs(net, spikes())
    ours = from_snntorch(net.state_dict(), make_surrogate=surrogate, reset_delay=False)
    found = ours.unroll(spikes(), torch.full((BATCH,), STEPS), keep=frozenset({SPIKES}))
    assert torch.equal(found.spikes[0], expected[0])
    with raises_naming(InputError, "'1'", "reset_delay=False"):
        from_snntorch(made("subtract").state_dict(), make_surrogate=surrogate, reset_delay=False)


def test_gradients_reach_the_weights():
    """Expected: finite and not 0 for every weight; decays stay fixed."""
    net = dyadic(
        nn.Sequential(
            nn.Linear(INPUTS, HIDDEN),
            snn.RLeaky(beta=0.9, linear_features=HIDDEN),
            nn.Linear(HIDDEN, 2),
            snn.Leaky(beta=0.8),
        )
    )
    ours = from_snntorch(net.state_dict(), make_surrogate=surrogate)
    ours.unroll(spikes(), torch.full((BATCH,), STEPS)).output.sum().backward()
    names = {name for name, _ in ours.named_parameters()}
    assert names == {f"layers.{k}.{part}" for k in (0, 1) for part in ("weight", "bias")} | {"layers.0.recurrent"}
    assert all(weight.grad.isfinite().all() and weight.grad.abs().max() > 0 for weight in ours.parameters())


LEAKY = {"beta": torch.tensor(0.9), "threshold": torch.tensor(1.0), "reset_mechanism_val": torch.tensor(0)}


def state(**more: Tensor) -> dict[str, Tensor]:
    """Two inputs, three neurons, and what is added or replaced."""
    tensors = {"0.weight": torch.ones(3, 2), **{f"1.{key}": value for key, value in LEAKY.items()}}
    return tensors | {name.replace("__", "."): value for name, value in more.items()}


@pytest.mark.parametrize(
    ("state_dict", "message"),
    [
        ({}, "weights and neurons in turn are needed"),
        ({"0.weight": torch.ones(3, 2)}, "weights and neurons in turn are needed"),
        (state(**{"2__weight": torch.ones(1, 3)}), "weights and neurons in turn are needed"),
        (state(**{"0__running_mean": torch.ones(3)}), r"module '0' \(weight, running_mean\): a Linear or Conv2d"),
        (state(**{"1__lstm_cell": torch.ones(3)}), r"module '1' \(.*\): a Leaky, Synaptic, RLeaky or RSynaptic"),
        (state(**{"1__graded_spikes_factor": torch.tensor(2.0)}), "module '1': graded spikes"),
        (state(**{"1__beta": torch.ones(5)}), r"module '1': beta of shape \(5,\) for neurons of shape \(3,\)"),
        (state(**{"1__threshold": torch.tensor(-1.0)}), r"neuron\.threshold=-1\.0: a number in \(0, inf"),
        (state(**{"1__threshold": torch.tensor(float("nan"))}), "threshold: a finite number"),
        (state(**{"1__reset_mechanism_val": torch.tensor(7)}), r"neuron\.reset='unknown': one of"),
        (state(**{"1__recurrent__weight": torch.ones(2, 2)}), r"module '1': weights among neurons of shape \(2, 2\)"),
        (state(**{"1__recurrent__V": torch.ones(2)}), "module '1': 2 weights among 3 neurons"),
        (state(**{"0__weight": torch.ones(3, 1, 3, 3)}), r"module '0': a convolution needs image"),
        ({"0.weight": "no tensor"}, "'0.weight': a tensor is needed"),
    ],
    ids=str,
)
def test_what_no_layer_stands_for_is_refused_by_name(state_dict, message):
    with pytest.raises(InputError, match=message):
        from_snntorch(state_dict, make_surrogate=surrogate)


def test_kernels_of_even_size_are_refused():
    with raises_naming(InputError, "'0'", "odd", "1 channels", "1 x 2 x 2"):
        from_snntorch(state(**{"0__weight": torch.ones(3, 1, 2, 2)}), make_surrogate=surrogate, image=[1, 4, 4])
