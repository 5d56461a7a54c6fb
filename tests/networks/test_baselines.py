"""Networks without spikes: what they compute, how large they are, what they cost, and under what name they run.

Expected values come from torch's own modules, from loops written here, from hand counts, and from the number of
parameters of the spiking network that an experiment builds.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fastspiking.choose import Engine
from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.composition.data_facts import in_time
from sgbench.composition.plan import plan
from sgbench.energy.modules import PlainCounter
from sgbench.errors import InputError
from sgbench.exchange.nir_export import to_nir
from sgbench.inits.kaiming import Kaiming
from sgbench.leaderboard.deviation import compose_reference, experiment_of, method_deviations
from sgbench.networks.base import Network, Provided
from sgbench.networks.baseline import InputView
from sgbench.networks.baseline_gru import Gru
from sgbench.networks.baseline_linear import Linear
from sgbench.networks.baseline_lstm import Lstm
from sgbench.networks.baseline_mlp import Perceptron
from sgbench.records.method import method_id
from sgbench.records.spec import NOTHING
from sgbench.training.build import build
from sgbench.training.runner import run_spec
from tests.messages import raises_naming
from tests.networks.parts import leaky, readout
from tests.run.tiny import WORDS

STEPS, N_IN, N_OUT = 6, 3, 2
BASELINES = ("linear", "ann_mlp", "gru", "lstm")
GATED = [(Gru, nn.GRU, 3), (Lstm, nn.LSTM, 4)]
every_gated = pytest.mark.parametrize(("kind", "theirs", "gates"), GATED, ids=["gru", "lstm"])
LENGTHS = torch.tensor([6, 4, 2])
X = (torch.rand(STEPS, 3, N_IN, generator=torch.Generator().manual_seed(0)) < 0.5).double()
SIZE = {"match_hidden": None, "match_recurrence": None, "match_bias": None}

SEQUENCES = [
    name
    for name, entry in catalogue.entries("protocol").items()
    if experiment_of(name) and in_time(entry.parameters["fixed"]["dataset"])
]
"""Protocols of samples in time that have an experiment."""


def made(kind: type[Network], **options: object) -> Network:
    init, random = Kaiming(gain=1.0, recurrent_gain=1.0), generator(0, "initialisation")
    return kind(Provided(N_IN, N_OUT, leaky, readout, init, random, Engine("auto")), **options)


def count(network: Network) -> int:
    return sum(weight.numel() for weight in network.parameters())


def outputs(network: Network) -> torch.Tensor:
    return network.unroll(X, LENGTHS).output


@pytest.mark.parametrize("sees", ["counts", "all", "last_1", "last_3"])
def test_linear_is_a_sum_over_what_it_sees(sees):
    """Expected: a literal loop over samples, steps and weights; steps behind a sample's end are zeros."""
    network = made(Linear, sees=sees, steps=STEPS)
    body = network.readout.body
    found = outputs(network)
    for sample, length in enumerate(LENGTHS.tolist()):
        x = X[:, sample].clone()
        x[length:] = 0
        for step in range(STEPS):
            if sees == "counts":
                seen = x.sum(0)
            elif sees == "all":
                seen = x.flatten()
            else:
                lags = range(int(sees.removeprefix("last_")))
                seen = torch.cat([x[step - lag] if step >= lag else torch.zeros(N_IN) for lag in lags])
            assert found[step, sample].tolist() == pytest.approx((body.weight @ seen + body.bias).tolist())


def test_what_is_seen_matters():
    """Must differ: an order of steps that counts cannot tell, a linear reading of all steps can."""
    early, late = torch.zeros(2, STEPS, 1, N_IN).double()
    early[0, 0, 0], late[3, 0, 0] = 1, 1
    lengths = torch.tensor([STEPS])
    counts, everything = InputView("counts", STEPS), InputView("all", STEPS)
    assert torch.equal(counts(early, lengths), counts(late, lengths))
    assert not torch.equal(everything(early, lengths), everything(late, lengths))


@every_gated
def test_gated_units_are_torchs(kind, theirs, gates):
    """Expected: `torch.nn.GRU` and `torch.nn.LSTM` with the same weights, then a linear layer; each sample's own
    steps do not depend on what lies behind them."""
    network = made(kind, parameters=200, **SIZE)
    reference = theirs(N_IN, network.layers[0].neurons).double()
    reference.load_state_dict(network.layers[0].body.state_dict())
    expected = network.readout.body(reference(X)[0])
    assert torch.equal(outputs(network), expected)
    longer = X.clone()
    longer[4:, 1] = 7.0
    assert torch.equal(network.unroll(longer, LENGTHS).output[:4, 1], expected[:4, 1])


def test_perceptron_is_rectified():
    """Expected: W max(0, V x + b) + c by hand."""
    network = made(Perceptron, sees="last_1", steps=STEPS, parameters=50, **SIZE)
    first, last = (layer.body for layer in network.layers)
    x = X[0, 0]
    expected = last.weight @ (first.weight @ x + first.bias).clamp(min=0) + last.bias
    assert outputs(network)[0, 0].tolist() == pytest.approx(expected.tolist())


TASKS = [name for name in catalogue.entries("experiment") if "/" not in name]
QUICK = ("mackey_glass",)
GATES = {"gru": 3, "lstm": 4}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("task", [pytest.param(task, marks=[pytest.mark.slow] * (task not in QUICK)) for task in TASKS])
@pytest.mark.parametrize("name", ["ann_mlp", "gru", "lstm"])
def test_equal_parameters(name, task):
    """Expected: within 5 % of what the experiment's own spiking network has, or the nearest that whole units allow."""
    spiking = compose([f"experiment={task}", "engine=reference"])
    if spiking.method.protocol.hidden is None or spiking.method.choices["network"] != "mlp":
        pytest.skip("its network is no chain of dense layers")
    wanted = count(build(spiking).network)
    network = build(compose([f"experiment={task}", f"network={name}"])).network
    off = abs(count(network) - wanted)
    if off > 0.05 * wanted:  # one gated unit of a small network is more; by hand, g h (n + h + 2) + c h + c
        n, c = network.layers[0].body.input_size, network.readout.body.out_features
        sizes = [GATES[name] * h * (n + h + 2) + c * h + c for h in range(1, 40)]
        assert count(network) in sizes
        assert off == min(abs(size - wanted) for size in sizes)


@every_gated
def test_a_given_number_of_parameters_is_met(kind, theirs, gates):
    """Expected: g gates of one layer have g h (n + h + 2) + c h + c parameters; the nearest h is taken."""
    sizes = {h: gates * h * (N_IN + h + 2) + N_OUT * h + N_OUT for h in range(1, 40)}
    for wanted in (60, 500, 1234):
        assert abs(count(made(kind, parameters=wanted, **SIZE)) - wanted) == min(
            abs(each - wanted) for each in sizes.values()
        )


def test_sizes_that_cannot_be_met_are_refused():
    """Expected: one line with the remedy where one unit is too much, and where nothing describes the network."""
    with pytest.raises(InputError, match=r"network\.sees=counts"):
        made(Perceptron, sees="all", steps=5000, parameters=50, **SIZE)
    with pytest.raises(InputError, match=r"network\.parameters=N"):
        made(Gru, parameters=None, **SIZE)
    with pytest.raises(InputError, match="have to be null"):
        made(Gru, parameters=9, match_hidden=[4], match_recurrence=None, match_bias=None)
    with pytest.raises(InputError, match=r"network\.sees='last_0'"):
        made(Linear, sees="last_0", steps=STEPS)
    with pytest.raises(InputError, match="use engine=auto"):
        build(compose(["network=gru", "engine=fused"]))


def _counted(network: Network) -> PlainCounter:
    counter = PlainCounter(network, "binary", bits=32)  # type: ignore[arg-type]
    target = torch.zeros(3, dtype=torch.int64)
    for part in ([0, 1], [2]):
        batch = Batch(X[:, part], target[part], LENGTHS[part], torch.tensor(part))
        counter.update(batch, network.unroll(batch.x, batch.lengths))
    return counter


def _events() -> int:
    return sum(int(X[:length, sample].count_nonzero()) for sample, length in enumerate(LENGTHS.tolist()))


def test_operations_of_counts():
    """Expected, by hand: an addition an event to sum up, then one product a count that is not 0 and output."""
    network = made(Linear, sees="counts", steps=STEPS)
    found = _counted(network).result()
    (layer,) = found.layers
    active = sum(int(X[:length, sample].sum(0).count_nonzero()) for sample, length in enumerate(LENGTHS.tolist()))
    assert (found.samples, found.steps, found.input_events.total) == (3, 3, _events())
    assert layer.neuron_additions.total == _events()
    (group,) = layer.synapses
    assert (group.operation, group.dense.total) == ("multiply_accumulate", 3 * N_IN * N_OUT)
    assert group.effective.total == active * N_OUT
    assert (layer.name, layer.neurons, layer.neuron_updates.total) == ("readout", N_OUT, 3 * N_OUT)


@every_gated
def test_operations_of_gated_units(kind, theirs, gates):
    """Expected, by hand: 3 or 4 gates; spikes are added, what comes back is multiplied; no step behind an end."""
    network = made(kind, parameters=200, **SIZE)
    units = network.layers[0].neurons
    found = _counted(network).result()
    hidden, readout = found.layers
    steps = int(LENGTHS.sum())
    assert (found.samples, found.steps) == (3, steps)
    own, back = hidden.synapses
    assert (own.source, own.operation, own.effective.total) == ("input", "accumulate", gates * units * _events())
    assert own.dense.total == steps * N_IN * gates * units
    assert (back.source, back.operation) == ("hidden0", "multiply_accumulate")
    assert back.effective.total == (steps - 3) * gates * units**2  # each sample starts from zeros
    assert [group.source for group in readout.synapses] == ["hidden0"]
    functions = {3: 3, 4: 5}[gates]  # of each gate one, and of the memory
    assert hidden.function_evaluations.total == functions * units * steps


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", ["linear", "gru"])
def test_a_run_and_its_record(name):
    """Expected: a finished record that names no neuron, surrogate or readout, and the same weights once more."""
    words = [word for word in WORDS if not word.startswith("network")]
    spec = compose([*words, f"network={name}"])
    record = run_spec(spec)
    assert record.status == "finished", record.failure
    assert {record.method.choices[group] for group in ("neuron", "readout", "surrogate")} == {NOTHING}
    assert record.provenance.engine == "torch"
    assert record.test.activity == ()
    twice = [build(spec).network.readout.body.weight for _ in range(2)]
    assert torch.equal(*twice)


@pytest.mark.slow
def test_choices_about_spikes_make_no_other_method():
    """Expected: the same id, whatever is said of spikes; must differ: another initialisation."""
    told = ["surrogate=triangle", "neuron=alif", "neuron@readout=leaky", "steepness=linear", "firing=ternary"]
    told += ["regulariser=activity_bounds", "width_fwhm=2.0"]
    plain, again, other = (
        method_id(compose(["network=gru", *words]).method) for words in ([], told, ["init.gain=2.0"])
    )
    assert plain == again != other
    swept = plan(["network=gru,mlp", "surrogate=atan,triangle"], multirun=True)
    assert len({method_id(spec.method) for spec in swept.specs}) == 3


def test_a_protocol_takes_it_as_a_baseline():
    """Expected: nothing deviates; must differ: of another size, on another code, or with neurons left out of a
    network that spikes."""
    reference = compose_reference("digits_v1")
    for name in BASELINES:
        assert list(method_deviations(compose([f"network={name}"]).method, 0, reference)) == []
    method = compose(["network=gru", "network.parameters=9999", "encoder=rate"]).method
    found = " ".join(method_deviations(method, 0, reference))
    assert "network.parameters is 9999" in found
    assert "encoder is" in found
    forged = method.model_copy(update={"choices": {**method.choices, "network": "mlp"}})
    assert any("is no baseline" in line for line in method_deviations(forged, 0, reference))


@pytest.mark.one_in(20)
@pytest.mark.parametrize("name", SEQUENCES)
def test_every_sequence_protocol_takes_gated_units(name):
    """Expected: nothing deviates, with the schedule of the methods beside them."""
    reference = compose_reference(name)
    words = [f"experiment={experiment_of(name)}", f"protocol={name}"]
    for network in ("lstm", "gru"):
        method = compose([*words, f"network={network}", "normalisation=none", "dropout=none"]).method
        assert list(method_deviations(method, reference.protocol.seeds[0], reference)) == []
        assert method.choices["schedule"] == reference.method.choices["schedule"]


@pytest.mark.slow
def test_settings_of_an_experiment_belong_to_its_own_choices():
    """Expected: what an experiment says of its code or network does not reach another; what a baseline takes of it
    does; must differ: a word of the command line that the entry does not know is refused."""
    other = compose(["experiment=fashion_mnist", "encoder=rate"]).method
    assert "tau_eff_s" not in other.parameters["encoder"]
    kept = compose(["experiment=fashion_mnist"]).method
    assert kept.parameters["encoder"]["tau_eff_s"] == 0.020
    taken = compose(["experiment=mackey_glass", "network=gru"]).method.parameters["network"]
    assert (taken["match_recurrence"], taken["match_bias"]) == ("all_to_all", True)
    words = ["experiment=mackey_glass", "network=gru", "network.match_bias=false"]
    assert compose(words).method.parameters["network"]["match_bias"] is False
    sized = compose([*words[:2], "network.parameters=500"]).method.parameters["network"]
    assert sized == {"parameters": 500, **SIZE}
    with pytest.raises(InputError, match=r"encoder\.tau_eff_s"):
        compose(["experiment=fashion_mnist", "encoder=rate", "encoder.tau_eff_s=0.03"])


def test_it_is_no_graph_of_neurons():
    """Expected: one line, whether or not the package for such graphs is there."""
    with raises_naming(InputError, "NIR", "Gru"):
        to_nir(made(Gru, parameters=200, **SIZE), dt_s=0.001)
