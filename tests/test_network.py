"""The network: unrolling over time, windows, what is kept, weights from the seed, and layers that are not finite.

Expected values come from a literal double loop over steps and layers written here, or from the definition.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from sgbench.errors import InputError, NonFiniteError
from sgbench.inits.base import Init
from sgbench.inits.kaiming import Kaiming
from sgbench.inits.uniform import Uniform
from sgbench.networks.base import RECURRENCES, Provided, check_finite
from sgbench.networks.mlp import Mlp
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.signals.streams import generator
from sgbench.signals.trajectory import POTENTIAL, SPIKES, Trajectory
from sgbench.surrogates.atan import Atan

STEPS, BATCH, N_IN, N_OUT = 30, 4, 6, 3
DEPTHS = ([7], [7, 5], [7, 5, 4])
KINDS = ("leaky", "synaptic")
every_depth = pytest.mark.parametrize("hidden", DEPTHS, ids=len)
every_recurrence = pytest.mark.parametrize("recurrence", RECURRENCES)


def neurons(kind: str) -> Callable[[int], Neuron]:
    """A maker of layers with a decay per neuron."""
    surrogate = Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    options = {"beta": 0.8, "threshold": 1.0, "reset": "subtract", "reset_gradient": "attached"}
    options |= {"learn_threshold": "none"}
    if kind == "leaky":
        return lambda features: Leaky(surrogate, features, **options, learn_beta="per_neuron")
    options |= {"alpha": 0.6, "learn_alpha": "shared", "learn_beta": "none"}
    return lambda features: Synaptic(surrogate, features, **options)


def network(
    hidden: list[int],
    *,
    recurrence: str = "none",
    kind: str = "leaky",
    seed: int = 3,
    init: Init | None = None,
    bias: bool = True,
) -> Mlp:
    """A small network in float64 whose layers all fire."""
    made = Mlp(
        Provided(
            N_IN,
            N_OUT,
            neurons(kind),
            lambda features: LeakyReadout(features, beta=0.9, learn_beta="none"),
            init or Kaiming(gain=2.0, recurrent_gain=0.5),
            generator(seed, "initialisation"),
            Engine("auto"),
        ),
        hidden=hidden,
        recurrence=recurrence,
        recurrence_gradient="full",
        bias=bias,
    )
    if bias:
        for position, layer in enumerate(made.layers):
            layer.bias.data += torch.linspace(0, 0.3, layer.bias.numel()) + 0.05 * position
    return made


def inputs(steps: int = STEPS, seed: int = 5) -> Tensor:
    """Random input spikes, two channels in five."""
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, BATCH, N_IN, generator=random, dtype=torch.float64) < 0.4).double()


def full_lengths(steps: int = STEPS) -> Tensor:
    """Every sample lasts all steps."""
    return torch.full((BATCH,), steps)


def literal(net: Mlp, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Output, spikes and centred potentials of hidden layers: all layers at step t, then step t + 1."""
    states = [None] * len(net.layers)
    last = [torch.zeros(BATCH, layer.weight.shape[0], dtype=x.dtype) for layer in net.layers]
    output, spikes, potentials = [], [[] for _ in net.hidden_layers], [[] for _ in net.layers]
    for now in x:
        signal = now
        for position, layer in enumerate(net.layers):
            current = signal @ layer.weight.T
            if layer.bias is not None:
                current = current + layer.bias
            if layer.recurrent is not None and layer.recurrent.dim() == 1:
                current = current + layer.recurrent * last[position]
            elif layer.recurrent is not None:
                current = current + last[position] @ layer.recurrent.T
            if states[position] is None:
                states[position] = layer.neuron.initial_state(current)
            signal, states[position] = layer.neuron.step(current, states[position])
            last[position] = signal
            potentials[position].append(layer.neuron.centred(states[position]))
            if layer is not net.readout:
                spikes[position].append(signal)
        output.append(signal)
    return torch.stack(output), [torch.stack(one) for one in spikes], [torch.stack(one) for one in potentials]


def gradients(net: Mlp, output: Tensor) -> dict[str, Tensor]:
    """Gradient of an arbitrary functional of the output, by parameter."""
    net.zero_grad()
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).reshape(output.shape)
    (weights * output.square()).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}


def assert_close(found: Tensor, expected: Tensor, name: str = "") -> None:
    """Within 1e-12 of the largest value: one product for all steps may round otherwise than one a step."""
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(
        found, expected, rtol=1e-12, atol=1e-12 * scale, msg=lambda text: f"{name}: {text}"
    )


# --- unrolling


@every_depth
@every_recurrence
@pytest.mark.parametrize("kind", KINDS)
def test_unroll_equals_literal_double_loop(hidden, recurrence, kind):
    """Expected: the double loop over steps and layers of this file; spikes equal, gradients of all parameters."""
    net = network(hidden, recurrence=recurrence, kind=kind)
    trajectory = net.unroll(inputs(), full_lengths(), keep=frozenset({SPIKES, POTENTIAL}))
    found = gradients(net, trajectory.output)
    output, spikes, potentials = literal(net, inputs())
    expected = gradients(net, output)
    assert_close(trajectory.output, output, "output")
    for kept, wanted in zip(trajectory.spikes, spikes, strict=True):
        assert 0 < wanted.mean() < 1, "every hidden layer must fire, and not always"
        assert torch.equal(kept, wanted)
    for kept, wanted in zip(trajectory.u, potentials, strict=True):
        assert_close(kept, wanted, "u")
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.any(), f"{name} has no gradient: the test would say nothing"
        assert_close(found[name], gradient, name)


def test_recurrences_and_depths_give_different_outputs():
    """Must differ: otherwise the loop above could ignore them."""
    outputs = [
        network(hidden, recurrence=recurrence).unroll(inputs(), full_lengths()).output
        for hidden in DEPTHS
        for recurrence in RECURRENCES
    ]
    for position, one in enumerate(outputs):
        for other in outputs[:position]:
            assert (one - other).abs().max() > 1e-3


@every_depth
@every_recurrence
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [(1,), (13,), (10, 20), (29,)], ids=str)
def test_windows_with_carried_state_equal_one_unroll(hidden, recurrence, kind, cuts):
    """Expected: one unroll over all steps, outputs, spikes, final state and gradients."""
    net = network(hidden, recurrence=recurrence, kind=kind)
    keep = frozenset({SPIKES})
    whole = net.unroll(inputs(), full_lengths(), keep=keep)
    state, outputs, spikes = None, [], []
    for window in torch.tensor_split(inputs(), cuts):
        part = net.unroll(window, full_lengths(), state, keep=keep)
        state = part.state
        outputs.append(part.output)
        spikes.append(part.spikes)
    assert_close(torch.cat(outputs), whole.output)
    for windows, wanted in zip(zip(*spikes, strict=True), whole.spikes, strict=True):
        assert torch.equal(torch.cat(windows), wanted)
    for carried, wanted in zip(state, whole.state, strict=True):
        for one, other in zip(carried, wanted, strict=True):
            assert_close(one, other)
    found, expected = gradients(net, torch.cat(outputs)), gradients(net, whole.output)
    for name, gradient in expected.items():
        assert_close(found[name], gradient, name)


@every_recurrence
def test_windows_from_rest_differ(recurrence):
    """Must differ: a window that starts at rest forgets potential and recurrent spikes."""
    net = network([7], recurrence=recurrence)
    whole = net.unroll(inputs(), full_lengths()).output
    fresh = net.unroll(inputs()[15:], full_lengths()).output
    assert (fresh - whole[15:]).abs().max() > 1e-3


@every_depth
@pytest.mark.parametrize(
    "keep",
    [frozenset(), frozenset({SPIKES}), frozenset({POTENTIAL}), frozenset({SPIKES, POTENTIAL})],
    ids=sorted,
)
def test_keeps_exactly_what_was_asked(hidden, keep):
    """Expected: spikes of spiking layers alone, potentials of all layers, nothing else; the output as without."""
    net = network(hidden)
    trajectory = net.unroll(inputs(), full_lengths(), keep=keep)
    sizes = [(STEPS, BATCH, size) for size in hidden]
    assert [tuple(one.shape) for one in trajectory.spikes] == (sizes if SPIKES in keep else [])
    everywhere = [*sizes, (STEPS, BATCH, N_OUT)]
    assert [tuple(one.shape) for one in trajectory.u] == (everywhere if POTENTIAL in keep else [])
    assert len(trajectory.state) == len(net.layers)
    assert torch.equal(trajectory.output, net.unroll(inputs(), full_lengths()).output)
    if POTENTIAL in keep:
        assert torch.equal(trajectory.u[-1], trajectory.output)  # a readout shows its potential
    for spikes, u in zip(trajectory.spikes, trajectory.u, strict=False):
        assert torch.equal(spikes, (u > 0).double())


@every_recurrence
def test_lengths_and_padding_do_not_change_outputs_before_them(recurrence):
    """Expected from causality: a sample's valid outputs depend on its valid inputs alone, bit for bit.

    On `reference`: the others sum in an order that depends on the density of all spikes of a batch.
    """
    net = network([7, 5], recurrence=recurrence)
    net.engine = Engine("reference")
    lengths = torch.tensor([1, 7, 19, STEPS])
    padded = inputs()
    other = inputs(seed=6)
    for sample, length in enumerate(lengths):
        padded[length:, sample] = other[length:, sample]
    short = net.unroll(padded, lengths)
    full = net.unroll(inputs(), full_lengths())
    assert torch.equal(short.lengths, lengths)
    for sample, length in enumerate(lengths):
        assert torch.equal(short.output[:length, sample], full.output[:length, sample])
    assert not torch.equal(short.output, full.output)
    net.engine = Engine("auto")
    fast_short, fast_full = net.unroll(padded, lengths), net.unroll(inputs(), full_lengths())
    torch.testing.assert_close(fast_short.output, short.output, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(fast_full.output, full.output, rtol=1e-12, atol=1e-12)


@every_recurrence
def test_samples_do_not_see_each_other(recurrence):
    """Expected: each sample's output as in a batch of its own."""
    net = network([7, 5], recurrence=recurrence)
    together = net.unroll(inputs(), full_lengths()).output
    for sample in range(BATCH):
        alone = net.unroll(inputs()[:, sample : sample + 1], full_lengths()[:1]).output
        assert_close(alone, together[:, sample : sample + 1])


# --- weights


def named_weights(net: Mlp) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in net.named_parameters() if "neuron" not in name}


@every_recurrence
@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_weights_are_a_function_of_the_seed(recurrence, init):
    """Expected: same seed, same bytes; must differ: another seed, in every weight."""
    first, again, other = (
        named_weights(
            network(
                [7, 5], recurrence=recurrence, init=init(gain=1.0, recurrent_gain=1.0), seed=seed, bias=False
            )
        )
        for seed in (3, 3, 4)
    )
    assert len(first) == (3 if recurrence == "none" else 5)
    for name, weight in first.items():
        assert weight.numpy().tobytes() == again[name].numpy().tobytes(), name
        assert (weight != other[name]).all(), name


@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_weights_of_both_precisions_are_the_same_numbers(init):
    """Expected: float32 weights are the float64 ones rounded once, whatever torch's default dtype is."""
    made = {}
    before = torch.get_default_dtype()
    try:
        for dtype in (torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
            net = network(
                [7, 5], recurrence="all_to_all", init=init(gain=1.5, recurrent_gain=0.5), bias=False
            ).to(dtype)
            made[dtype] = named_weights(net)
    finally:
        torch.set_default_dtype(before)
    for name, weight in made[torch.float64].items():
        assert weight.dtype == torch.float64
        assert torch.equal(made[torch.float32][name], weight.float()), name


@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_gains_scale_their_own_weights(init):
    """Expected: feed-forward weights times gain, recurrent ones times recurrent_gain, to one rounding each."""
    one = named_weights(network([7, 5], recurrence="all_to_all", init=init(gain=1.0, recurrent_gain=1.0)))
    scaled = named_weights(network([7, 5], recurrence="all_to_all", init=init(gain=4.0, recurrent_gain=0.5)))
    for name in one:
        if not name.endswith("bias"):
            factor = 0.5 if name.endswith("recurrent") else 4.0
            assert torch.equal(scaled[name], factor * one[name]), name


def test_weights_have_the_spread_of_their_formula():
    """Expected from the definitions: normal of deviation 1/sqrt n; uniform within 1/sqrt n, deviation 1/sqrt 3n.

    The deviation of 40 000 draws is within 5 of its standard errors: 5/sqrt(2 N) for a normal, less for a uniform.
    """
    n, rows = 100, 400
    bound = 5 / (2 * n * rows) ** 0.5
    for init, deviation in ((Kaiming, n**-0.5), (Uniform, (3 * n) ** -0.5)):
        weight = torch.empty(rows, n, dtype=torch.float64)
        init(gain=1.0, recurrent_gain=1.0).fill(weight, n, generator(0, "initialisation"), recurrent=False)
        assert weight.std().item() == pytest.approx(deviation, rel=bound)
        assert abs(weight.mean().item()) < 5 * deviation / (n * rows) ** 0.5
        assert (weight.abs().max() <= n**-0.5) == (init is Uniform)


def test_streams_of_one_seed_are_unrelated():
    """Must differ: weights drawn from another stream, and from the neighbouring seed."""
    draws = [
        torch.rand(8, generator=generator(seed, stream, *parts))
        for seed, stream, parts in [
            (0, "initialisation", ()),
            (0, "noise", ()),
            (0, "data_order", ()),
            (0, "encoding", ()),
            (1, "initialisation", ()),
            (0, "data_order", (0,)),
            (0, "data_order", (1,)),
        ]
    ]
    for position, one in enumerate(draws):
        assert all((one != other).all() for other in draws[:position])


# --- values that are not finite


def run_poisoned(net: Mlp, where: tuple[int, str], value: float) -> Trajectory:
    """Unroll after one weight of one layer has been overwritten."""
    position, name = where
    weight = getattr(net.layers[position], name).data
    weight[(0,) * weight.dim()] = value
    return net.unroll(inputs(), full_lengths())


POISONED = [(0, "weight"), (1, "weight"), (2, "weight"), (0, "recurrent"), (1, "recurrent"), (1, "bias")]


@pytest.mark.parametrize("where", POISONED, ids=str)
@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_poisoned_weight_is_found_in_its_layer(where, recurrence, kind, value):
    """Expected: the name of the first layer that is not finite, although the loss may stay finite."""
    net = network([7, 5], recurrence=recurrence, kind=kind)
    trajectory = run_poisoned(net, where, value)
    expected = ["hidden0", "hidden1", "readout"][where[0]]
    with pytest.raises(NonFiniteError, match=f"layer '{expected}': the membrane potential is not finite"):
        check_finite(net, trajectory)


def test_nan_hides_behind_a_finite_loss_and_is_found():
    """Expected: NaN is not above threshold, so a poisoned neuron is silent and everything after it finite."""
    net = network([7, 5])
    trajectory = run_poisoned(net, (0, "weight"), float("nan"))
    assert torch.isfinite(trajectory.output).all()
    with pytest.raises(NonFiniteError, match="hidden0"):
        check_finite(net, trajectory)


@every_depth
@every_recurrence
@pytest.mark.parametrize("kind", KINDS)
def test_finite_network_passes(hidden, recurrence, kind):
    """Must not be found: an ordinary run, and one with a silent layer and very large finite potentials."""
    net = network(hidden, recurrence=recurrence, kind=kind)
    check_finite(net, net.unroll(inputs(), full_lengths()))
    check_finite(net, run_poisoned(net, (0, "weight"), -1e300))


# --- refusals by name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": []}, r"network\.hidden=\[\]: a list of layer sizes"),
        ({"hidden": "64"}, r"network\.hidden='64': a list of layer sizes"),
        ({"hidden": 64}, r"network\.hidden=64: a list of layer sizes"),
        ({"hidden": [8, 0]}, r"network\.hidden=0: a whole number of at least 1"),
        ({"hidden": [8.0]}, r"network\.hidden=8\.0: a whole number of at least 1"),
        ({"recurrence": "dense"}, r"network\.recurrence='dense': one of none, one_to_one, all_to_all"),
        ({"recurrence_gradient": "half"}, r"network\.recurrence_gradient='half': one of full, cut"),
        ({"bias": "yes"}, r"network\.bias='yes': true or false"),
    ],
    ids=str,
)
def test_bad_values_are_refused_by_name(changes, message):
    """Expected: an InputError that names the parameter, its value and what is needed."""
    options = {"hidden": [4], "recurrence": "none", "recurrence_gradient": "full", "bias": False, **changes}
    with pytest.raises(InputError, match=message):
        Mlp(
            Provided(
                N_IN,
                N_OUT,
                neurons("leaky"),
                lambda features: LeakyReadout(features, beta=0.9, learn_beta="none"),
                Kaiming(gain=1.0, recurrent_gain=1.0),
                generator(0, "initialisation"),
                Engine("auto"),
            ),
            **options,
        )


@pytest.mark.parametrize("name", ["gain", "recurrent_gain"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "1"], ids=repr)
@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_bad_gain_is_refused_by_name(init, name, value):
    """Expected: an InputError that names the gain."""
    with pytest.raises(InputError, match=rf"init\.{name}={value!r}: a number in \[0, inf"):
        init(**{"gain": 1.0, "recurrent_gain": 1.0, name: value})


def test_unknown_engine_is_refused_by_name():
    """Expected: an InputError with the nearest name."""
    with pytest.raises(InputError, match="engine 'referense' does not exist; did you mean 'reference'"):
        Engine("referense")
