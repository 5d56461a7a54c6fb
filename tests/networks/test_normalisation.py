"""Batch normalisation of currents: against torch's own layers, folded, counted, refused, kept with the weights.

Expected values come from `torch.nn.BatchNorm1d` and `2d` over the rows that the papers name, or from hand counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import sgbench
from fastspiking.choose import Engine
from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch
from sgbench.composition.compose import compose
from sgbench.dropouts.shared_mask import SharedMask
from sgbench.energy.count import OperationCounter
from sgbench.energy.modules import ModuleCounter
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.neurons.base import Neuron
from sgbench.normalisations.batch_norm import BatchNorm
from sgbench.normalisations.bntt import Bntt
from sgbench.normalisations.tdbn import Tdbn
from sgbench.records.counts import OpCounts
from sgbench.records.method import method_id
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of
from tests.messages import raises_naming
from tests.networks.parts import BATCH, FULL, LENGTHS, STEPS, conv, leaky, mlp, spikes
from tests.run.tiny import WORDS

NUMBERS = {"momentum": 0.2, "epsilon": 1e-3}
MADE = {"tdbn": Tdbn(alpha=0.5, **NUMBERS), "bntt": Bntt(steps=STEPS, **NUMBERS), "batch_norm": BatchNorm(**NUMBERS)}
every_kind = pytest.mark.parametrize("kind", MADE)
every_network = pytest.mark.parametrize("net", [mlp, conv], ids=["mlp", "conv"])
INPUTS = {mlp: 6, conv: 48}
THETA = 0.7
SCALES = {"tdbn": 0.5 * THETA, "bntt": 1.0, "batch_norm": 1.0}


def plain(net: Any, **changes: Any) -> Network:
    """A network without normalisation."""
    return net(make=lambda features: leaky(features, THETA), **changes)


def made(net: Any, kind: str, **changes: Any) -> Network:
    """The same with it, with parameters other than at the start."""
    network = plain(net, **changes)
    network.normalise(MADE[kind])
    random = torch.Generator().manual_seed(7)
    for layer in network.hidden_layers:
        for each in layer.normaliser.parameters():
            each.data += 0.3 * torch.rand(each.shape, generator=random, dtype=torch.float64)
    return network


def theirs(layer: Any, kind: str) -> list[nn.Module]:
    """torch's layers of one of ours: one for all steps, or one a step, with our parameters and statistics."""
    norm = layer.normaliser
    form = nn.BatchNorm1d if layer.weight.dim() == 2 else nn.BatchNorm2d
    found = []
    for step in range(STEPS if kind == "bntt" else 1):
        one = form(norm.channels, momentum=0.2, eps=1e-3, dtype=torch.float64)
        pick = (lambda each, step=step: each[step]) if kind == "bntt" else (lambda each: each)
        one.weight.data = pick(norm.gain).detach().clone() * SCALES[kind]
        shift = torch.zeros_like(norm.gain[0]) if kind == "bntt" else norm.shift
        one.bias.data = shift.detach().clone()
        one.running_mean, one.running_var = pick(norm.running_mean).clone(), pick(norm.running_var).clone()
        one.train(norm.training)
        found.append(one)
    return found


def normalised(current: Tensor, layers: list[nn.Module], shape: tuple[int, ...]) -> Tensor:
    """Currents [T, B, N] through torch's layers."""
    if len(layers) == 1:
        return layers[0](current.reshape(-1, *shape)).view_as(current)
    each = zip(layers, current, strict=True)
    return torch.stack([layer(now.reshape(-1, *shape)).flatten(1) for layer, now in each])


def shape_of(layer: Any) -> tuple[int, ...]:
    return (layer.neurons,) if layer.weight.dim() == 2 else layer.image_out


@every_kind
@every_network
def test_currents_are_those_of_torchs_batch_norm(net, kind):
    """Must match: three batches in training and one behind it, in currents, gradients and running statistics."""
    network, raw = made(net, kind).train(), plain(net).layers[0]
    layer = network.layers[0]
    expected = theirs(layer, kind)
    for seed in range(3):
        x = spikes(INPUTS[net], seed=seed)
        found = layer.current(x)
        wanted = normalised(raw.current(x), expected, shape_of(layer))
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
        ours = torch.autograd.grad(found.square().mul(found).sum(), [layer.weight, layer.normaliser.gain])
        weights = [raw.weight, *(each.weight for each in expected)]
        hand = torch.autograd.grad(wanted.square().mul(wanted).sum(), weights)
        torch.testing.assert_close(ours[0], hand[0], rtol=1e-9, atol=1e-9)
        gains = torch.stack(hand[1:]) if kind == "bntt" else hand[1] * SCALES[kind]
        torch.testing.assert_close(ours[1], gains, rtol=1e-9, atol=1e-9)
    statistics = torch.stack([torch.stack([each.running_mean, each.running_var]) for each in expected], 1)
    kept = torch.stack([layer.normaliser.running_mean, layer.normaliser.running_var]).view_as(statistics)
    torch.testing.assert_close(kept, statistics, rtol=1e-12, atol=1e-12)
    network.eval()
    x = spikes(INPUTS[net], seed=9)
    wanted = normalised(raw.current(x), [each.eval() for each in expected], shape_of(layer))
    torch.testing.assert_close(layer.current(x), wanted, rtol=1e-12, atol=1e-12)
    assert (layer.current(x) - raw.current(x)).abs().max() > 0.1


def test_kinds_differ():
    """Must differ: one statistic for all steps, one for each, and none; the share of the threshold."""
    outputs = [made(mlp, kind).train().unroll(spikes(6), FULL).output for kind in MADE]
    outputs.append(plain(mlp).unroll(spikes(6), FULL).output)
    doubled = plain(mlp)
    doubled.normalise(Tdbn(alpha=1.0, **NUMBERS))
    outputs.append(doubled.unroll(spikes(6), FULL).output)
    for position, one in enumerate(outputs):
        assert all((one - other).abs().max() > 1e-3 for other in outputs[:position])


@every_kind
@every_network
def test_nothing_depends_on_padding(net, kind):
    """Must match: the statistics of the valid rows alone, by torch; behind a sample's end the currents are 0."""
    network, other = made(net, kind).train(), made(net, kind).train()
    x = spikes(INPUTS[net])
    padded = x.clone()
    valid = torch.arange(STEPS)[:, None] < LENGTHS
    padded[~valid] = 7.0
    found, again = network.unroll(x, LENGTHS).output, other.unroll(padded, LENGTHS).output
    assert torch.equal(found[valid], again[valid])
    for one, two in zip(network.buffers(), other.buffers(), strict=True):
        assert torch.equal(one, two)
    assert not network.layers[0].current(x)[~valid].any()
    expected = theirs(made(net, kind).train().layers[0], kind)
    current, layer = plain(net).layers[0].current(x), network.layers[0]
    parts = [current[valid]] if kind != "bntt" else [now[each] for now, each in zip(current, valid, strict=True)]
    for one, rows in zip(expected, parts, strict=True):
        if rows.numel() > layer.weight.shape[0]:  # torch refuses a single value
            one(rows.reshape(-1, *shape_of(layer)))
    wanted = torch.stack([one.running_mean for one in expected]).view_as(layer.normaliser.running_mean)
    fresh = made(net, kind).train()
    fresh.unroll(x, LENGTHS)
    torch.testing.assert_close(fresh.layers[0].normaliser.running_mean, wanted, rtol=1e-12, atol=1e-12)
    whole = made(net, kind).train()
    whole.unroll(x, FULL)
    assert not torch.equal(whole.layers[0].normaliser.running_mean, wanted)


def test_a_single_value_is_normalised_by_the_running_statistics():
    """Expected: with mean 0 and variance 1 at the start, x / sqrt(1 + eps); statistics stay as they were."""
    layer = mlp().train().layers[0]
    layer.normalise(Bntt(steps=STEPS, **NUMBERS))
    x = spikes(6)[:, :1]
    plain = nn.functional.linear(x, layer.weight)
    torch.testing.assert_close(layer.current(x), plain / 1.001**0.5, rtol=1e-12, atol=1e-12)
    assert not layer.normaliser.running_mean.any()


@every_network
@pytest.mark.parametrize("bias", [False, True])
def test_a_trained_layer_runs_folded(net, bias):
    """Must match: spikes and potentials with torch's own layer behind unfolded weights; on the compiled engine."""
    network, raw = made(net, "tdbn", bias=bias).train(), plain(net, bias=bias)
    for seed in range(4):
        network.unroll(spikes(INPUTS[net], seed=seed), FULL)
    network.eval()
    found = network.unroll(spikes(INPUTS[net]), LENGTHS, keep=frozenset({SPIKES, POTENTIAL}))
    layer = network.layers[0]
    current = normalised(raw.layers[0].current(spikes(INPUTS[net])), theirs(layer, "tdbn"), shape_of(layer))
    state, fired, potentials = layer.neuron.initial_state(current[0]), [], []
    for now in current:
        sent, state = layer.neuron.step(now, state)
        fired.append(sent)
        potentials.append(layer.neuron.centred(state))
    assert torch.equal(found.spikes[0], torch.stack(fired))
    torch.testing.assert_close(found.u[0], torch.stack(potentials), rtol=1e-11, atol=1e-11)
    assert 0.02 < found.spikes[0].mean() < 0.98
    if net is mlp:
        assert Engine("fused").pick(layer)[0] == "fused"
        assert layer.synapses()[1] is not None
    assert network.train().layers[0].synapses() is None


def test_a_trained_network_goes_step_by_step_where_it_folds():
    """Expected: two windows with the state handed on are one pass; with BNTT something is said against it."""
    network = made(mlp, "tdbn").train()
    network.drop(SharedMask(rate=0.5))
    network.unroll(spikes(6), FULL)
    assert "normalised over time" in network.needs_all_steps
    whole = network.eval().unroll(spikes(6), FULL).output
    assert network.needs_all_steps is None
    first = network.unroll(spikes(6)[:2], FULL)
    second = network.unroll(spikes(6)[2:], FULL, first.state)
    torch.testing.assert_close(torch.cat([first.output, second.output]), whole, rtol=1e-12, atol=1e-12)
    assert "normalised over time" in made(mlp, "bntt").eval().needs_all_steps


def counted(network: Network, inputs: int) -> OpCounts:
    """Operations of one batch."""
    network.eval()
    x = spikes(inputs)
    with torch.no_grad():
        trajectory = network.unroll(x, LENGTHS, keep=frozenset({SPIKES}))
    counter = OperationCounter(network, "binary", bits=32)
    counter.update(Batch(x, torch.zeros(BATCH), LENGTHS, torch.arange(BATCH)), trajectory)
    return counter.result()


def test_counts_are_those_of_what_runs():
    """By hand: folded, a bias for each current in each step and no operation; else one for each current."""
    steps = int(LENGTHS.sum())
    folded, apart, none = counted(made(mlp, "tdbn"), 6), counted(made(mlp, "bntt"), 6), counted(mlp(), 6)
    for counts, biases, operations in ((folded, 1, 0), (apart, 0, 1), (none, 0, 0)):
        for layer, neurons in zip(counts.layers[:2], (7, 5), strict=True):
            assert layer.bias_additions.total == steps * neurons * biases
            assert layer.normalisation_operations.total == steps * neurons * operations
        assert counts.layers[2].bias_additions.total == counts.layers[2].normalisation_operations.total == 0
    images = counted(made(conv, "bntt", pooling="max", bias=False), 48)
    assert [layer.normalisation_operations.total for layer in images.layers] == [steps * 3 * 24, steps * 4 * 6, 0]


@pytest.mark.parametrize("folds", [True, False])
def test_counts_are_those_of_torchs_layers(folds):
    """Must match: the counter of torch's modules on a linear layer with batch normalisation, folded or not."""
    modules = nn.Sequential(nn.Linear(6, 7, bias=folds), nn.BatchNorm1d(7)).double().eval()
    counter = ModuleCounter(modules, input_kind="binary", bits=32, fold_batch_norm=folds)
    for now in spikes(6):
        counter(now, samples=0 if counter.samples else BATCH, steps=BATCH)
    expected = counter.result().layers
    network = made(mlp, "tdbn" if folds else "bntt").eval()
    x = spikes(6)
    ours = OperationCounter(network, "binary", bits=32)
    with torch.no_grad():
        trajectory = network.unroll(x, FULL, keep=frozenset({SPIKES}))
    ours.update(Batch(x, torch.zeros(BATCH), FULL, torch.arange(BATCH)), trajectory)
    found = ours.result().layers[0]
    assert found.normalisation_operations.total == sum(each.normalisation_operations.total for each in expected)
    assert found.bias_additions == expected[0].bias_additions
    assert found.synapses[0].effective == expected[0].synapses[0].effective


class NoThreshold(Neuron):
    """Neurons without a threshold."""

    output = "binary"

    def initial_state(self, like):
        """None."""

    def step(self, current, state):
        """None."""

    def centred(self, state):
        """None."""

    operations = None


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("normalisation=tdbn", "rule.window=3"), "the currents of layer 'hidden0' are normalised over time"),
        (
            ("normalisation=bntt", "rule=eprop", "loss=per_step"),
            "rule=eprop: goes step by step, .* normalised over time; use rule=bptt",
        ),
        (("normalisation=tdbn", "normalisation.alpha=0"), r"normalisation\.alpha=0: a number in \(0, inf"),
        (("normalisation=tdbn", "normalisation.momentum=2"), r"normalisation\.momentum=2"),
        (("normalisation=bntt", "normalisation.epsilon=0"), r"normalisation\.epsilon=0"),
        (("normalisation=tbdn",), "normalisation 'tbdn' does not exist; did you mean 'tdbn'"),
    ],
)
def test_what_does_not_go_together_is_refused(words, message):
    """Expected: an InputError that names the option and the mend."""
    with pytest.raises(InputError, match=message):
        build(compose([*WORDS, *words]))


def test_layers_that_cannot_are_refused_by_name():
    """Expected: neurons without a threshold, sequences that are too long, a single step."""
    with raises_naming(InputError, "'hidden0'", "normalisation=bntt"):
        mlp(make=lambda _: NoThreshold()).normalise(MADE["tdbn"])
    network = made(mlp, "bntt")
    with raises_naming(InputError, "normalisation.steps=6", "'hidden0'", "7"):
        network.unroll(spikes(6, steps=7), FULL)
    with raises_naming(InputError, "'hidden0'", "all time steps"):
        network.layers[0].current(spikes(6)[0])


def test_other_methods_keep_their_names():
    """Expected: the id of the reference run before there was normalisation or dropout; none is not written."""
    plain = compose(["experiment=digits"]).method
    assert method_id(plain) == "30439bd73909"
    told = plain.model_dump(mode="json")
    assert not {"normalisation", "dropout"} & (told["choices"].keys() | told["parameters"].keys())
    other = compose(["experiment=digits", "normalisation=tdbn", "dropout=shared_mask"]).method
    assert method_id(other) != "30439bd73909"
    told = other.model_dump(mode="json")
    assert (told["choices"]["normalisation"], told["choices"]["dropout"]) == ("tdbn", "shared_mask")


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=pytest.mark.slow) if each == "tdbn" else each for each in MADE]
)
def test_statistics_are_kept_with_the_weights(kind, tmp_path: Path):
    """Must match: predictions of a network made anew from the weights file, as verification does.

    Must differ: without the running statistics of the file.
    """
    words = (*WORDS, f"normalisation={kind}", f"paths.runs_dir={tmp_path}", "protocol.epochs=1")
    record = sgbench.run(*words)
    assert record.status == "finished"
    spec = compose(words)
    kept = load_file(folder_of(spec) / "weights.safetensors")
    assert kept["layers.0.normaliser.running_var"].dtype == torch.float32
    parts = build(spec)
    parts.data.setup()
    with parts.data.splits.open():
        (batch,) = list(parts.data.evaluation("test"))[:1]

    def output(weights: dict[str, Tensor]) -> Tensor:
        parts.network.load_state_dict(weights)
        with torch.no_grad():
            return parts.objective.loss.logits(parts.network.eval().unroll(batch.x, batch.lengths))

    lines = (folder_of(spec) / "predictions.csv").read_text().splitlines()[1:]
    rows = {int(line.split(",")[0]): [float(each) for each in line.split(",")[3:]] for line in lines}
    expected = torch.tensor([rows[position] for position in batch.position.tolist()])
    torch.testing.assert_close(output(kept), expected, rtol=1e-5, atol=1e-5)
    fresh = {name: torch.zeros_like(value) if name.endswith("running_mean") else value for name, value in kept.items()}
    assert (output(fresh) - expected).abs().max() > 1e-2
