"""Which engine runs a layer, what is refused, and where autograd's other modes go."""

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from fastspiking.choose import ENGINES, PREFERRED, Engine
from fastspiking.signals.spikes import Signal
from sgbench.errors import InputError
from sgbench.firing.bernoulli import Bernoulli
from tests.fastspiking.cases import (
    BY_HAND,
    FAST,
    NEURONS,
    WIRINGS,
    Wired,
    atan,
    error,
    fires,
    gain_of,
    neuron,
    packed,
    result,
    spikes,
)
from tests.fastspiking.test_networks import Branching, Saturating
from tests.messages import missing

X = spikes(10, 3, 6)
# torch warns of itself when it loads what its functional transforms and its compiler need.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Chain(nn.Module):
    """Layers and an engine as one module."""

    def __init__(self, engine: str, kind: str = "leaky", wiring: tuple[str, str] = WIRINGS[3]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                Wired(6, neuron(kind, 5, reset_gradient="detached"), 5, gain=gain_of(kind), wiring=wiring),
                Wired(5, neuron("leaky_readout", 3), 3, gain=1.0, name="readout"),
            ]
        )
        self.engine = Engine(engine)

    def forward(self, x: Signal) -> Tensor:
        return self.engine.unroll(list(self.layers), x)[-1].output


# --- the choice


def test_an_unknown_name_is_refused():
    """Expected: one line with the nearest name and all others."""
    with pytest.raises(InputError) as caught:
        Engine("fusd")
    assert missing(caught.value, "'fusd'", "'fused'", *ENGINES) == []


def test_auto_prefers_the_fastest():
    """Expected: the order in which `auto` tries; snnTorch's classes and Triton have to be asked for."""
    assert PREFERRED == ("fused", "scan", "generated", "reference")
    assert set(PREFERRED) | {"snntorch", "triton"} == set(ENGINES)
    layers = list(Chain("auto").layers)
    choice = Engine("auto").describe(layers)
    assert choice.name == "fused"
    assert len(missing(choice.reason, *ENGINES)) == len(ENGINES), "none was passed over"
    for name in (*PREFERRED, "snntorch"):
        assert Engine(name).describe(layers) == (name, "asked for")


def test_auto_says_why_not_the_faster_one():
    """Expected: the reasons of all that were passed over, of each layer where they differ."""
    layers = [*Chain("auto").layers]
    layers[0].neuron = Saturating()
    choice = Engine("auto").describe(layers)
    assert choice.name == "generated+fused"
    hidden, readout = choice.reason.split("readout")
    assert missing(hidden, "hidden0", "generated", "fused", "scan") == []
    assert missing(readout, "fused", "scan") == ["scan"]
    layers[0].neuron = Branching()
    alone = Engine("auto").describe(layers[:1])
    assert alone.name == "reference"
    assert missing(alone.reason, "fused", "scan", "generated", "aten::max") == []


def test_on_another_device_torch_makes_the_steps():
    """Expected: no compiled loops there, and the reason."""
    choice = Engine("auto", "meta").describe(list(Chain("auto").layers))
    assert choice.name == "scan"
    assert missing(choice.reason, "fused", "scan", "CPU") == ["scan"]


def test_other_precisions_fall_back():
    """Expected: loops exist for float32 and float64; others run in torch, and a request says why not."""
    layers = [layer.to(torch.bfloat16) for layer in Chain("auto").layers]
    assert Engine("auto").describe(layers).name == "scan"
    assert Engine("auto").unroll(layers, X.bfloat16())[-1].output.dtype == torch.bfloat16
    with pytest.raises(InputError) as caught:
        Engine("fused").unroll(layers, X.bfloat16())
    assert missing(caught.value, "engine=fused", "'hidden0'", "float32", "float64", "engine=auto") == []


# --- refusals


@pytest.mark.parametrize("engine", [*BY_HAND, "snntorch"])
@pytest.mark.parametrize("call", ["unroll", "describe"])
def test_a_neuron_without_numbers_is_refused(engine, call):
    """Expected: one line that names engine, layer, reason and remedy, before anything runs."""
    layers = list(Chain(engine).layers)
    layers[0].neuron = Saturating()
    with pytest.raises(InputError) as caught:
        Engine(engine).unroll(layers, X) if call == "unroll" else Engine(engine).describe(layers)
    assert missing(caught.value, f"engine={engine}", "'hidden0'", "linear recurrence", "engine=auto") == []


SNNTORCH = {
    ("leaky", "subtract", "attached"): "detaches",
    ("leaky", "zero", "attached"): "detaches",
    ("leaky", "subtract_decayed", "detached"): "subtract_decayed",
    ("synaptic", "zero", "detached"): "zero",
    ("synaptic", "subtract_decayed", "detached"): "subtract_decayed",
    ("alif", "subtract", "detached"): "neuron",
    ("adlif", "none", "detached"): "neuron",
    ("leaky", "subtract", "detached"): None,
    ("leaky", "zero", "detached"): None,
    ("leaky", "none", "attached"): None,
    ("synaptic", "subtract", "detached"): None,
    ("synaptic", "none", "attached"): None,
}


@pytest.mark.parametrize(("case", "lacks"), SNNTORCH.items(), ids=lambda each: "-".join(each or ["runs"])[:40])
def test_what_snntorch_cannot_do(case, lacks):
    """Expected: what snnTorch 1.0 has, from its source; `attached` and `detached` are one where nothing resets."""
    kind, reset, reset_gradient = case
    layer = Wired(6, neuron(kind, 5, reset=reset, reset_gradient=reset_gradient), 5, gain=1.0)
    if lacks is None:
        assert Engine("snntorch").pick(layer) == ("snntorch", "asked for")
        return
    with pytest.raises(InputError) as caught:
        Engine("snntorch").pick(layer)
    assert missing(caught.value, "engine=snntorch", "'hidden0'", lacks, "engine=auto") == []


def test_snntorch_refuses_spikes_that_are_drawn():
    """It would draw a reset of its own (`mem_reset` in its source), so that a neuron without a spike is reset."""
    surrogate = atan()
    Bernoulli().begin(surrogate)
    layer = Wired(6, neuron("leaky", 5, surrogate=surrogate), 5, gain=1.0)
    with pytest.raises(InputError) as caught:
        Engine("snntorch").pick(layer)
    assert missing(caught.value, "engine=snntorch", "'hidden0'", "spike", "reset", "engine=auto") == []


def test_snntorch_keeps_no_neurons():
    """Expected: its list of all neurons that were ever made is as before, and still the same list."""
    listed, before = snn.SpikingNeuron.instances, list(snn.SpikingNeuron.instances)
    mine = snn.Leaky(beta=0.5)
    result("snntorch", list(Chain("snntorch").layers), X)
    assert snn.SpikingNeuron.instances is listed
    assert listed == [*before, mine]
    listed[:] = before


# --- other modes of autograd


@pytest.mark.one_in(5)
@pytest.mark.parametrize("engine", ["auto", *FAST])
@pytest.mark.parametrize("kind", ["leaky", "adlif"])
def test_functional_gradients(engine, kind):
    """Expected: torch.func.grad and vjp equal `backward`, for inputs and for weights; the reference runs below."""
    net = Chain(engine, kind)
    weight = net.layers[0].weight.detach()

    def loss(weight: Tensor, x: Tensor) -> Tensor:
        return torch.func.functional_call(net, {"layers.0.weight": weight}, (x,)).square().sum()

    found = torch.func.grad(loss, argnums=(0, 1))(weight, X)
    x, w = X.clone().requires_grad_(), weight.clone().requires_grad_()
    expected = torch.autograd.grad(loss(w, x), (w, x))
    assert all(error(one, other) < 1e-12 for one, other in zip(found, expected, strict=True))
    along = torch.randn_like(weight)
    _, slope = torch.func.jvp(lambda weight: loss(weight, X), (weight,), (along,))
    assert slope.item() == pytest.approx((found[0] * along).sum().item(), rel=1e-10)


@pytest.mark.parametrize("engine", ["auto", *FAST])
def test_vmap_over_networks_and_samples(engine):
    """Expected: one run after another; over weights (an ensemble), and over inputs."""
    net = Chain(engine)
    weights = torch.stack([net.layers[0].weight.detach(), 2 * net.layers[0].weight.detach()])

    def run(weight: Tensor, x: Tensor) -> Tensor:
        return torch.func.functional_call(net, {"layers.0.weight": weight}, (x,))

    inputs = torch.stack([X, X.flip(0)])
    found = torch.func.vmap(run)(weights, inputs)
    for position in range(2):
        assert error(found[position], run(weights[position], inputs[position])) < 1e-12
    each = torch.func.vmap(torch.func.grad(lambda weight, x: run(weight, x).sum()), in_dims=(None, 0))
    assert each(weights[0], inputs).shape == (2, 5, 6)


@pytest.mark.parametrize("engine", ["auto", *FAST])
def test_forward_mode(engine):
    """Expected: torch.autograd.forward_ad equals torch.func.jvp, or a refusal that says what is missing."""
    net = Chain(engine)
    along = torch.randn_like(X)
    _, expected = torch.func.jvp(net, (X,), (along,))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(X, along)
        try:
            found = torch.autograd.forward_ad.unpack_dual(net(dual)).tangent
        except NotImplementedError as refusal:
            assert "forward mode AD" in str(refusal)  # noqa: PT017 - one of two right answers
            return
    assert error(found, expected) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "reference", *FAST])
@pytest.mark.parametrize("kind", [kind for kind in NEURONS if fires(kind)])
def test_compiled_by_dynamo_as_one_graph(engine, kind):
    """Expected: the same numbers as without; torch.compile sees the reference's steps, in one graph."""
    torch._dynamo.reset()
    net = Chain(engine, kind)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    found, expected = compiled(X), net(X)
    assert error(found, expected) < 1e-12
    found.square().sum().backward()
    slope = net.layers[0].weight.grad.clone()
    net.zero_grad()
    expected.square().sum().backward()
    assert error(slope, net.layers[0].weight.grad) < 1e-12


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of dynamo, about what it cannot trace
@pytest.mark.parametrize("engine", ["auto", "fused"])
def test_compiled_with_graph_breaks(engine):
    """Expected: without fullgraph the same numbers, whoever runs the layers in the end; packed input too."""
    torch._dynamo.reset()
    net = Chain(engine)
    compiled = torch.compile(net, backend="eager")
    for signal in (X, packed(X)):
        assert error(compiled(signal), net(signal)) < 1e-12
