"""Convolutional and delayed networks, and networks whose neurons take several currents.

Expected values come from loops over pixels, taps and synapses written here, from snnTorch's `SConv2dLSTM`, and from
limits that make one network another.

Legend: T steps, B batch, N neurons, C channels; I current.
"""

from __future__ import annotations

import itertools

import pytest
import snntorch as snn
import torch
from torch import Tensor

from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided
from sgbench.networks.conv import Conv
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.delayed import Delayed, DelayedLayer
from sgbench.networks.mlp import Mlp
from sgbench.neurons.dh_lif import DhLif
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.lstm import Slstm
from sgbench.signals.trajectory import POTENTIAL, SPIKES, Batch
from sgbench.submissions.plausible import implausible
from sgbench.submissions.weights import parse_weights, require_fit
from sgbench.surrogates.atan import Atan
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from tests.run.tiny import WORDS

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

STEPS, BATCH, CLASSES = 12, 3, 2


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def leaky(features: int) -> Leaky:
    return Leaky(
        surrogate(),
        features,
        beta=0.75,
        input_gain="one",
        threshold=1.0,
        reset="subtract",
        reset_gradient="attached",
        learn_beta="per_neuron",
        learn_threshold="none",
    )


def slstm(features: int, threshold: float = 0.125) -> Slstm:
    options = {"threshold": threshold, "forget_bias": 0.0, "reset": "none", "reset_gradient": "detached"}
    return Slstm(surrogate(), features, **options, learn_threshold="none")


def dh_lif(features: int) -> DhLif:
    options = {
        "branches": 3,
        "inputs": "split",
        "alpha": 0.5,
        "fastest": 0.1,
        "slowest": 0.5,
        "input_gain": "one_minus_decay",
        "threshold": 0.5,
    }
    options |= {"reset": "subtract", "reset_gradient": "detached", "learn_alpha": "none"}
    return DhLif(surrogate(), features, **options, learn_branches="none", learn_threshold="none")


def readout(features: int) -> LeakyReadout:
    return LeakyReadout(features, beta=0.9, input_gain="one", learn_beta="none")


def given(seed: int = 1) -> tuple:
    """What the builder gives besides sizes and neurons."""
    random = torch.Generator().manual_seed(seed)
    return Kaiming(gain=3.0, recurrent_gain=1.0), random, Engine("auto")


def conv(make: object = leaky, *, image: list[int] | None = None, **changes: object) -> Conv:
    options = {
        "channels": [3],
        "kernel_size": 3,
        "stride": 1,
        "pooling": "none",
        "pooling_of": "currents",
        "pool_size": 2,
        "recurrence": "none",
        "recurrence_gradient": "full",
    }
    image = image or [2, 4, 5]
    n_inputs = image[0] * image[1] * image[2]
    return Conv(
        Provided(n_inputs, CLASSES, make, readout, *given()),
        image=image,
        **{**options, "bias": True, **changes},
    )


def delayed(make: object = leaky, inputs: int = 4, **changes: object) -> Delayed:
    options = {"hidden": [5], "max_delay_steps": 4, "kernel": "gaussian", "sigma_steps": [1.5, 0.5]}
    options |= {"readout_delays": True, "bias": True}
    return Delayed(Provided(inputs, CLASSES, make, readout, *given()), **{**options, **changes})


def spikes(inputs: int, density: float = 0.4, seed: int = 5, steps: int = STEPS) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, BATCH, inputs, generator=random, dtype=torch.float64) < density).double()


LENGTHS = torch.tensor([STEPS, STEPS - 3, 1])


# --- convolutions


@pytest.mark.parametrize("stride", [1, 2])
def test_current_of_a_convolution_is_a_sum_over_its_window(stride):
    """Expected: loops over output and input pixels, zeros beyond the border, currents of one kind side by side."""
    layer = conv(slstm, stride=stride).layers[0]
    layer.bias.data = torch.linspace(-1, 1, 12, dtype=torch.float64)
    x = spikes(40)[0, :1]
    image = x.view(2, 4, 5)
    _, height, width = layer.image_out
    assert (height, width) == ((4, 5) if stride == 1 else (2, 3))
    expected = torch.zeros(12, height, width, dtype=torch.float64)
    for row, top, left in itertools.product(range(12), range(height), range(width)):
        expected[row, top, left] = layer.bias[row]
        for c, dy, dx in itertools.product(range(2), range(3), range(3)):
            y, z = stride * top + dy - 1, stride * left + dx - 1
            if 0 <= y < 4 and 0 <= z < 5:
                expected[row, top, left] += layer.weight[row, c, dy, dx] * image[c, y, z]
    torch.testing.assert_close(layer.current(x).view(12, height, width), expected, rtol=1e-12, atol=1e-12)
    gates = layer.current(x).chunk(4, -1)
    torch.testing.assert_close(gates[2].flatten(), expected[6:9].flatten(), rtol=1e-12, atol=1e-12)


def test_convolutional_lstm_is_snntorchs():
    """Must match: `SConv2dLSTM` over 30 steps in spikes, states and weight gradients; its gates lie as i, f, o, g.

    Must differ: with the gates taken in our own order.
    """
    net = conv(slstm, recurrence="all_to_all", bias=False)
    layer = net.layers[0]
    options = {"bias": False, "threshold": 0.125, "spike_grad": surrogate(), "reset_mechanism": "none"}
    theirs = snn.SConv2dLSTM(2, 3, 3, **options).double()
    order = torch.tensor([0, 1, 3, 2])  # ours is i, f, g, o

    def gates(weight: Tensor) -> Tensor:
        return weight.view(4, 3, *weight.shape[1:])[order].flatten(0, 1)

    def run(combined: Tensor) -> tuple[Tensor, Tensor]:
        theirs.conv.weight.data = combined.detach().clone()
        state = tuple(torch.zeros(BATCH, 3, 4, 5, dtype=torch.float64) for _ in range(2))
        sent, hidden = [], []
        for now in x.view(30, BATCH, 2, 4, 5):
            s, *state = theirs(now, *state)
            sent.append(s.flatten(1))
            hidden.append(state[1].flatten(1))
        return torch.stack(sent), torch.stack(hidden)

    x = spikes(40, steps=30)
    ours = net.unroll(x, torch.full((BATCH,), 30), keep=frozenset({SPIKES, POTENTIAL}))
    joined = torch.cat([layer.weight, layer.recurrent], 1)
    sent, hidden = run(gates(joined))
    assert 0.02 < sent.mean() < 0.95
    assert torch.equal(ours.spikes[0], sent)
    torch.testing.assert_close(ours.u[0] + 0.125, hidden, rtol=1e-10, atol=1e-12)
    coefficients = torch.randn(sent.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (theirs_gradient,) = torch.autograd.grad((coefficients * sent).sum(), theirs.conv.weight)
    found = torch.autograd.grad((coefficients * ours.spikes[0]).sum(), [layer.weight, layer.recurrent])
    torch.testing.assert_close(gates(torch.cat(found, 1)), theirs_gradient, rtol=1e-9, atol=1e-9)
    assert not torch.equal(run(joined)[0], sent)


@pytest.mark.parametrize("recurrence", ["none", "one_to_one"])
@pytest.mark.parametrize("engine", ["scan", "fused"])
def test_convolutions_run_on_the_fast_engines(recurrence, engine):
    """Must match: the reference in spikes, outputs and gradients of all weights."""
    results = {}
    for name in (engine, "reference"):
        net = conv(recurrence=recurrence, channels=[3, 4], stride=2)
        net.engine = Engine(name)
        trajectory = net.unroll(spikes(40), LENGTHS, keep=frozenset({SPIKES}))
        trajectory.output.square().sum().backward()
        results[name] = [trajectory.output, *trajectory.spikes, *(weight.grad for weight in net.parameters())]
        assert 0.02 < trajectory.spikes[0].mean() < 0.95
    for one, other in zip(*results.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_convolution_among_neurons_runs_on_the_reference():
    """Expected: auto takes the reference for that layer alone, and says why."""
    net = conv(recurrence="all_to_all")
    name, reason = net.engine.pick(net.layers[0])
    assert name == "reference"
    assert "its recurrence is a convolution" in reason
    assert net.engine.pick(net.layers[1])[0] == "fused"


# --- delays


def test_current_of_delays_is_a_sum_over_lags():
    """Expected: loops over synapses and lags, each lag weighted by the normalised Gaussian around its delay."""
    layer = delayed().layers[0]
    layer.bias.data = torch.linspace(-1, 1, 5, dtype=torch.float64)
    x = spikes(4)
    found = layer.current(x)
    lags = torch.arange(5, dtype=torch.float64)
    expected = torch.zeros_like(found)
    for t, i in itertools.product(range(STEPS), range(5)):
        expected[t, :, i] = layer.bias[i]
        for j in range(4):
            delay = 4 * torch.sigmoid(layer.delay_logit[i, j])
            weights = torch.exp(-((lags - delay) ** 2) / (2 * 1.5**2))
            for k in range(min(t, 4) + 1):
                expected[t, :, i] += layer.weight[i, j] * weights[k] / weights.sum() * x[t - k, :, j]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "triangle"])
def test_gradient_of_a_delay_is_its_finite_difference(kernel):
    """Expected: central differences of a random linear functional of the current, per delay."""
    layer = delayed(kernel=kernel).layers[0]
    x = spikes(4)
    coefficients = torch.randn(
        STEPS, BATCH, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )

    def functional() -> Tensor:
        return (coefficients * layer.current(x)).sum()

    (found,) = torch.autograd.grad(functional(), layer.delay_logit)
    h = 1e-6
    for i, j in itertools.product(range(5), range(4)):
        with torch.no_grad():
            layer.delay_logit[i, j] += h
            above = functional()
            layer.delay_logit[i, j] -= 2 * h
            below = functional()
            layer.delay_logit[i, j] += h
        assert found[i, j].item() == pytest.approx(((above - below) / (2 * h)).item(), rel=1e-5, abs=1e-7)


def test_rounded_delays_shift_by_whole_steps():
    """Must match: input shifted by the nearest whole delay; the gradient of the delays is the Gaussian's."""
    layer, soft = delayed(kernel="rounded").layers[0], delayed().layers[0]
    layer.sigma_steps = soft.sigma_steps
    x = spikes(4)
    expected = torch.zeros(STEPS, BATCH, 5, dtype=torch.float64)
    for i, j in itertools.product(range(5), range(4)):
        lag = round(layer.delays()[i, j].item())
        expected[lag:, :, i] += layer.weight[i, j] * x[: STEPS - lag, :, j]
    found = layer.current(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    gradients = [
        torch.autograd.grad(each.current(x)[:, :, 2].sum(), each.delay_logit)[0] for each in (layer, soft)
    ]
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "triangle", "rounded"])
def test_kernels_pass_on_all_that_arrives(kernel):
    """Expected: weights over lags add up to 1, also for delays at either end."""
    layer = delayed(kernel=kernel).layers[0]
    layer.delay_logit.data[0, :2] = torch.tensor([-30.0, 30.0])
    torch.testing.assert_close(
        layer.kernels().sum(-1), torch.ones(5, 4, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_gaussians_narrow_with_progress():
    """Expected: 1.5, sqrt(1.5 0.5), 0.5 steps at the start, the middle and the end; narrow ones near rounded."""
    net = delayed()
    for progress, sigma in ((0.0, 1.5), (0.5, 0.75**0.5), (1.0, 0.5)):
        net.advance(progress)
        assert net.layers[0].sigma_steps == net.layers[1].sigma_steps == pytest.approx(sigma)
    net.layers[0].sigma_steps = 0.1
    net.layers[0].delay_logit.data = torch.logit(torch.randint(1, 4, (5, 4)) / 4).double()
    hard = delayed(kernel="rounded").layers[0]
    hard.load_state_dict(net.layers[0].state_dict())
    torch.testing.assert_close(hard.kernels(), net.layers[0].kernels(), rtol=0, atol=1e-12)


# --- counts


def brute_force(net: Conv | Delayed | Mlp, x: Tensor, sent: list[Tensor | None]) -> list[dict[str, int]]:
    """Walk over every event and every synapse that its layer declares for it."""
    found = []
    for layer, fired in zip(net.layers, sent, strict=True):
        total = {"arriving": 0, "returning": 0, "reached": 0}
        for b in range(BATCH):
            for t in range(int(LENGTHS[b])):
                reached: set[int] = set()
                for j in x[t, b].nonzero().flatten().tolist():
                    rows = targets(layer, j)
                    total["arriving"] += len(rows) * max(1, layer.taps)
                    reached |= {row % layer.neurons for row in rows}
                if fired is not None and t > 0 and layer.recurrence != "none":
                    back = torch.ones_like(fired) if layer.neuron.feeds_back == "potential" else fired
                    for j in back[t - 1, b].nonzero().flatten().tolist():
                        rows = targets(layer, j, recurrent=True)
                        total["returning"] += len(rows)
                        reached |= {row % layer.neurons for row in rows}
                total["reached"] += len(reached)
        found.append(total)
        if fired is not None:
            x = fired
    return found


def targets(layer: object, source: int, *, recurrent: bool = False) -> list[int]:
    """Rows of currents that a source reaches: where a current answers to it, with all weights set to 1."""
    saved = {name: value.detach().clone() for name, value in layer.named_parameters()}
    with torch.no_grad():
        for name in ("weight", "recurrent"):
            if getattr(layer, name, None) is not None:
                getattr(layer, name).fill_(1.0)
        if layer.bias is not None:
            layer.bias.zero_()
        if recurrent:
            answer = layer.feedback(
                torch.nn.functional.one_hot(torch.tensor([source]), layer.neurons).double()
            )
        elif isinstance(layer, DelayedLayer):
            answer = torch.ones(1, layer.weight.shape[0])
        else:
            inputs = layer.weight.shape[1]
            if isinstance(layer, ConvLayer):
                inputs = layer.image_in[0] * layer.image_in[1] * layer.image_in[2]
            answer = layer.current(torch.nn.functional.one_hot(torch.tensor([source]), inputs).double())
        for name, value in layer.named_parameters():
            value.copy_(saved[name])
    return answer.flatten().nonzero().flatten().tolist()


def mlp(make: object, recurrence: str) -> Mlp:
    options = {"hidden": [5], "recurrence": recurrence, "recurrence_gradient": "full", "bias": True}
    return Mlp(Provided(7, CLASSES, make, readout, *given()), **options)


NETWORKS = {
    **{
        f"conv_{r}": lambda r=r: conv(recurrence=r, image=[1, 3, 4])
        for r in ("none", "one_to_one", "all_to_all")
    },
    "conv_stride": lambda: conv(stride=2, channels=[2, 2], image=[1, 5, 4]),
    "conv_lstm": lambda: conv(slstm, recurrence="all_to_all", image=[1, 3, 4]),
    **{f"lstm_{r}": lambda r=r: mlp(slstm, r) for r in ("none", "one_to_one", "all_to_all")},
    **{f"dendrites_{r}": lambda r=r: mlp(dh_lif, r) for r in ("none", "one_to_one", "all_to_all")},
    **{f"delayed_{k}": lambda k=k: delayed(kernel=k) for k in ("gaussian", "rounded")},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_those_of_a_walk_over_all_synapses(name):
    """Expected: per layer, operations through each group of synapses, neurons reached, biases and kind."""
    net = NETWORKS[name]()
    layer = net.layers[0]
    inputs = layer.weight.shape[1]
    if isinstance(layer, ConvLayer):
        inputs = layer.image_in[0] * layer.image_in[1] * layer.image_in[2]
    x = spikes(inputs)
    with torch.no_grad():
        trajectory = net.unroll(x, LENGTHS, keep=frozenset({SPIKES}))
    counter = OperationCounter(net, "binary", bits=32)
    counter.update(Batch(x, torch.zeros(BATCH), LENGTHS, torch.arange(BATCH)), trajectory)
    counts = counter.result()
    expected = brute_force(net, x, [*trajectory.spikes, None])
    for position, (found, wanted) in enumerate(zip(counts.layers, expected, strict=True)):
        assert found.synapses[0].effective.total == wanted["arriving"] > 0
        assert found.neuron_updates_with_input.total == wanted["reached"]
        assert found.delay_operations.total == (wanted["arriving"] if net.layers[position].taps else 0)
        if len(found.synapses) > 1:
            assert found.synapses[1].effective.total == wanted["returning"] > 0
            values = net.layers[position].neuron.feeds_back == "potential"
            assert found.synapses[1].operation == ("multiply_accumulate" if values else "accumulate")
        steps, layer = int(LENGTHS.sum()), net.layers[position]
        assert found.neurons == layer.neurons
        assert found.neuron_updates.total == steps * layer.neurons
        assert found.bias_additions.total == steps * layer.neurons * layer.neuron.currents
        everything = torch.ones(1, 1, inputs if position == 0 else net.layers[position - 1].neurons)
        once = sum(len(targets(layer, j)) for j in range(everything.shape[2])) * max(1, layer.taps)
        assert found.synapses[0].dense.total == steps * once
        functions = found.function_evaluations
        assert (functions.total if functions else 0) == (
            5 * steps * layer.neurons if "lstm" in name and position == 0 else 0
        )
    kind = "multiply_accumulate" if name == "delayed_gaussian" else "accumulate"
    assert counts.layers[0].synapses[0].operation == kind


# --- refusals by name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv(kernel_size=2), r"network\.kernel_size=2: an odd number of pixels"),
        (lambda: conv(stride=0), r"network\.stride=0: a whole number of at least 1"),
        (lambda: conv(channels=[]), r"network\.channels=\[\]: a list such as \[8, 16\]"),
        (lambda: conv(channels=[0]), r"network\.channels=0: a whole number of at least 1"),
        (lambda: conv(recurrence="conv"), r"network\.recurrence='conv': one of none, one_to_one, all_to_all"),
        (lambda: conv(bias=1), r"network\.bias=1: true or false"),
        (lambda: conv(dh_lif), r"neuron\.inputs=split: .* use neuron\.inputs=all"),
        (lambda: delayed(max_delay_steps=0), r"network\.max_delay_steps=0: a whole number of at least 1"),
        (lambda: delayed(kernel="box"), r"network\.kernel='box': one of gaussian, triangle, rounded"),
        (
            lambda: delayed(sigma_steps=[1.0]),
            r"network\.sigma_steps=\[1\.0\]: two numbers such as \[2\.0, 0\.5\]",
        ),
        (lambda: delayed(sigma_steps=[1.0, 0.0]), r"network\.sigma_steps=0\.0: a number in \[0\.1, inf"),
        (lambda: delayed(hidden=[]), r"network\.hidden=\[\]: a list of layer sizes"),
        (lambda: delayed(readout_delays="no"), r"network\.readout_delays='no': true or false"),
    ],
)
def test_bad_values_are_refused_by_name(make, message):
    """Expected: an InputError that names the parameter, its value and what is needed."""
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("n_inputs", "image", "message"),
    [
        (8, None, r"network\.image=null: 8 inputs are no square"),
        (8, [1, 2, 5], r"network\.image=\[1, 2, 5\]: \[channels, height, width\] that multiply to 8 inputs"),
        (8, [2, 4], r"network\.image=\[2, 4\]"),
        (8, "2x4", r"network\.image='2x4'"),
    ],
)
def test_an_image_has_as_many_pixels_as_there_are_inputs(n_inputs, image, message):
    """Expected: an InputError; null stands for one square channel."""
    options = {
        "channels": [2],
        "kernel_size": 3,
        "stride": 1,
        "pooling": "none",
        "pooling_of": "currents",
        "pool_size": 2,
        "recurrence": "none",
        "recurrence_gradient": "full",
    }
    with pytest.raises(InputError, match=message):
        Conv(Provided(n_inputs, CLASSES, leaky, readout, *given()), image=image, **options, bias=False)
    assert Conv(Provided(9, 2, leaky, readout, *given()), image=None, **options, bias=False).layers[
        0
    ].image_in == (
        1,
        3,
        3,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("neuron=psn", "network.recurrence=all_to_all"),
            r"network\.recurrence=all_to_all: .* all time steps at once",
        ),
        (("neuron=sliding_psn", "rule.window=5"), r"rule\.window=5: .* use rule\.window=null"),
        (("network=delayed", "rule.window=5"), r"rule\.window=5: the synapses of layer 'hidden0' delay"),
        (("neuron=psn", "rule=eprop", "loss=per_step"), r"rule=eprop: goes step by step, .* use rule=bptt"),
        (
            ("neuron=slstm", "rule=eprop", "loss=per_step"),
            r"rule=eprop: .* Slstm takes several; use rule.form=unrolled",
        ),
        (
            ("neuron=three_compartment", "rule=eprop", "loss=per_step"),
            r"rule=eprop: .* ThreeCompartment takes several; use rule.form=unrolled",
        ),
        (("network=delayed", "rule=eprop", "loss=per_step"), r"rule=eprop: goes step by step"),
        (("neuron=spiking_gru", "firing=ternary"), r"neuron=spiking_gru: its gates are open or shut"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(words, message):
    """Expected: an InputError of the builder, with the remedy."""
    with pytest.raises(InputError, match=message):
        build(compose(["experiment=digits", *words]))


TRAINED = ("neuron=psn", "neuron=dh_lif", "network=delayed")  # of those below, in the default run


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=words[0], marks=[pytest.mark.slow] * (words[0] not in TRAINED))
        for words in (
            ("neuron=psn",),
            ("neuron=masked_psn", "neuron.mask=[0.0, 1.0]"),
            ("neuron=slstm", "network.recurrence=all_to_all", "network.bias=true", "rule.window=4"),
            ("neuron=dh_lif", "network.recurrence=one_to_one"),
            ("network=conv", "network.recurrence=all_to_all", "neuron=sgru"),
            ("network=conv", "network.pooling=average", "network.pooling_of=spikes", "network.stride=1"),
            ("network=delayed", "network.readout_delays=true"),
        )
    ],
)
def test_runs_end_in_records_without_contradictions(words, tmp_path):
    """Expected: a finished record, which has been checked against itself, counts included."""
    spec = compose([*WORDS, *words, f"paths.runs_dir={tmp_path}", "init.gain=2.0"])
    record = run_spec(spec)
    assert record.status == "finished", record.failure
    assert record.test.activity[0].rate_per_step > 0
    assert record.counts.layers[0].synapses[0].effective.total > 0
    assert not [line for line in implausible(record) if "counts" in line]
    weights = (folder_of(spec) / "weights.safetensors").read_bytes()
    if not words[0].startswith("neuron=dh_lif"):  # whose masks are no numbers that a submission may hold
        require_fit(parse_weights(weights, "weights"), record, "weights")


def test_delays_refuse_a_single_step():
    with pytest.raises(InputError, match="layer 'hidden0': delays need the input of all time steps at once"):
        delayed().layers[0].current(torch.zeros(BATCH, 4))


def test_uniform_start_of_parallel_neurons_follows_the_seed():
    """Must match: equal seeds; must differ: another seed. The leaky start draws nothing, so weights stay."""

    def made(*words: str) -> dict[str, Tensor]:
        return build(compose(["experiment=digits", *words])).network.state_dict()

    key = "layers.0.neuron.weight"
    one, same, other = (made("neuron=psn", "neuron.start=uniform", f"seed={seed}")[key] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(made("neuron=psn")["layers.0.weight"], made()["layers.0.weight"])
