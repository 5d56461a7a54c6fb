"""The cost of a training, by hand and against torch's own counter of floating-point operations."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.energy.training_cost import training_cost
from sgbench.errors import InputError
from sgbench.records.files import to_json
from sgbench.training.build import build
from sgbench.training.run_diagnosis import learning_of
from tests.entries import spec_of
from tests.leaderboard.factory import record
from tests.messages import raises_naming

SIZES = {"train": 10, "validation": 5}
WITH_CURRENTS = ("neuron=synaptic", "neuron@readout=synaptic_readout")
CUT = ("network.recurrence=all_to_all", "network.recurrence_gradient=cut")


def parts_of(*words):
    """Parts of a small run."""
    return build(spec_of("engine=reference", "protocol.batch_size=4", *words))


NOISE = (torch.rand(25, 4, 64, generator=torch.Generator().manual_seed(0)) < 0.1).float()


def costed(*words, engine="reference", weights=None):
    """A record of two epochs whose counts are those of one batch of noise; all weights may be one number."""
    spec = spec_of(f"engine={engine}", *words)
    parts = build(spec)
    if weights is not None:
        for weight in parts.network.parameters():
            torch.nn.init.constant_(weight, weights)
    x = NOISE
    batch = Batch(x=x, target=torch.zeros(4), lengths=torch.full((4,), 25), position=torch.arange(4))
    counter = OperationCounter(parts.network, "binary", bits=32)
    parts.network.eval()
    with torch.no_grad():
        counter.update(batch, parts.network.unroll(x, batch.lengths, keep=frozenset({SPIKES})))
    made = record().model_copy(update={"method": spec.method, "counts": counter.result()})
    assert made.counts is not None
    learning = learning_of(parts.network, parts.rule, spec.method, made.counts)
    return made.model_copy(update={"learning": learning})


def cost_of(made, sizes):
    """Of a record that says what its rule takes."""
    return training_cost(made, made.learning, sizes)


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("words", "ratios"),
    [
        ((), (1, 1, 64 * 10 / (64 * 64 + 64 * 10))),
        (("protocol.hidden=[8,4]",), (1, 1, (32 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8]", "network.recurrence=all_to_all"), (1, 1, (64 + 80) / (512 + 64 + 80))),
        (("protocol.hidden=[8]", *CUT), (1, 1, 80 / (512 + 64 + 80))),
        (("protocol.hidden=[8]", "rule=frozen", "rule.learn=readout"), (1, 80 / 592, 0)),
        (("protocol.hidden=[8,4]", "rule=feedback_alignment"), (1, 1, (32 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8,4]", "rule=ottt"), (1, 1, (32 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8,4]", "rule=dfa"), (1, 1, (80 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8]", "network.recurrence=all_to_all", "rule=sdfa"), (1, 1, (64 + 80) / 656)),
        (("protocol.hidden=[8]", *CUT, "rule=eprop", "rule.form=unrolled"), (1, 1, 80 / (512 + 64 + 80))),
        (("protocol.hidden=[8,4]", "rule=local"), (1, 1, 2 * (80 + 40) / (512 + 32 + 40))),
        (("protocol.hidden=[8]", "rule=frozen"), (1, 0, 0)),
        (("protocol.hidden=[8,4]", *WITH_CURRENTS, "rule=eventprop"), (1, 1, (32 + 40) / (512 + 32 + 40))),
        (
            ("protocol.hidden=[8]", *WITH_CURRENTS, "network.recurrence=all_to_all", "rule=eventprop"),
            (1, 1, (64 + 80) / (512 + 64 + 80)),
        ),
        (("protocol.hidden=[8]", "firing=soft", "surrogate.normalisation=area1"), (1, 1, 80 / 592)),
        (("protocol.hidden=[8]", "firing=escape"), (1, 1, 80 / 592)),
    ],
)
def test_by_hand(words, ratios):
    """64 pixels, 10 classes: shares of the synapses that a gradient reaches and crosses, counted on paper."""
    found = cost_of(costed(*words), SIZES)
    synapses = found.forward / (25 * 10 * 2)
    assert synapses == int(synapses)
    shares = (found.forward, found.weight_gradients, found.input_gradients)
    assert [share / found.forward for share in shares] == pytest.approx(ratios)
    assert found.validation == found.forward / 2
    assert found.total == sum(shares) + found.validation


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("protocol.hidden=[8,4]",),
        ("protocol.hidden=[8,4]", "rule=drtp"),
        ("rule=eprop", "rule.form=unrolled"),
        # 25 steps at once, and then 25 windows of one step; in the second line every synapse has both its traces.
        ("rule=eprop", "loss=per_step"),
        ("rule=eprop", "loss=per_step", *CUT, "neuron.reset=zero"),
        ("rule=eprop", "loss=per_step", "rule.update=per_step"),
    ],
)
def test_torch_counts_as_many(words):
    """Two floating-point operations a product; the input is dense, so that torch's own products are made of it."""
    # In float64 all products are torch's own, which it counts.
    parts = parts_of("encoder=direct", "protocol.precision=float64", *words)
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    assert isinstance(batch.x, torch.Tensor)
    # Of products that are added to what is there torch counts those out of place alone.
    in_place = {torch.ops.aten.baddbmm_: lambda _, one, other, **__: 2 * math.prod(one) * other[-1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        for _ in parts.rule.gradients(parts.network, batch, parts.objective):
            pass
    found = cost_of(costed(*words), {"train": len(batch.target), "validation": 0})
    assert found.epochs * counter.get_total_flops() == 2 * found.total


ALL_TO_ALL = ("protocol.hidden=[8]", "network.recurrence=all_to_all", "loss=per_step")


def test_rules_that_draw_or_go_forward_by_hand():
    """On paper, D = 512 + 64 + 80: draws are passes of their own; RTRL crosses 64 + 80 with every weight."""
    drawn = costed(*ALL_TO_ALL, "firing=escape", "rule=reinforce", "rule.draws=3").learning
    assert (drawn.weight_products, drawn.error_products) == (3 * 656, 2 * 656)
    assert drawn.locality == ("own_trace", "errors_of_others")
    ahead = costed(*ALL_TO_ALL, "rule=forward_gradient", "rule.draws=2").learning
    assert (ahead.weight_products, ahead.error_products) == (2 * 656, 2 * 144 + 656)
    whole = costed(*ALL_TO_ALL, "rule=rtrl").learning
    assert (whole.weight_products, whole.error_products) == (656, 656 * 144)
    # A potential and a spike of 8 neurons, a potential of 10, by 656 weights and once; 128 samples of 4 bytes.
    assert whole.memory_bytes == 657 * (2 * 8 + 10) * compose([]).method.protocol.batch_size * 4


def test_a_converted_network_is_trained_in_one_pass_a_sample():
    """Torch counts as many products of a training on rates; validation goes over all 25 steps."""
    words = ("protocol.hidden=[8]", "network=converted")
    parts = parts_of("encoder=direct", "protocol.precision=float64", *words)
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    with FlopCounterMode(display=False) as counter:
        for _ in parts.rule.gradients(parts.network, batch, parts.objective):
            pass
    found = cost_of(costed(*words), {"train": len(batch.target), "validation": len(batch.target)})
    once = found.forward + found.weight_gradients + found.input_gradients
    assert found.epochs * counter.get_total_flops() == 2 * once
    assert found.validation == 25 * found.forward


@pytest.mark.parametrize(("weights", "fired"), [(5.0, 8), (0.0, 0)], ids=["all fire at the first event", "none fires"])
def test_spikes_between_steps_are_priced_by_arrival_by_hand(weights, fired):
    """On paper: E events a sample by 8 weights, 8 spikes or none by 10; again by weight, and by time."""
    words = ("protocol.hidden=[8]", "network=first_spike", "loss=first_spike")
    found = cost_of(costed(*words, engine="auto", weights=weights), SIZES)
    events = NOISE.sum().item() / NOISE.shape[1]
    once = events * 8 + fired * 10
    assert found.forward == found.weight_gradients == 2 * 10 * once
    assert found.input_gradients == 2 * 10 * fired * 10
    assert found.validation == 2 * 5 * once
    assert found.adjoint_updates == 2 * 10 * (fired + bool(fired) * 10)  # the ten outputs fire too


def test_neurons_that_fire_again_are_priced_again():
    """Must match: the arrivals of the spikes that the network itself sends; must differ: one a neuron."""
    words = ("protocol.hidden=[8]", "network=event_driven")
    made = costed(*words, engine="auto", weights=1.0)
    hidden, readout = made.counts.layers
    spikes = hidden.spikes_sent.total / made.counts.samples
    found = cost_of(made, SIZES)
    assert spikes > 8
    assert found.input_gradients == 2 * 10 * spikes * 10
    assert found.forward - found.input_gradients == 2 * 10 * NOISE.sum().item() / NOISE.shape[1] * 8
    assert readout.spikes_sent.total in (None, 0)


def test_what_is_not_counted_is_said():
    """A rule that does not say what it takes, and a record without counts."""
    with raises_naming(InputError, "rule=bptt", "training"):
        training_cost(costed(), None, SIZES)
    with pytest.raises(InputError, match="without operation counts"):
        training_cost(record().model_copy(update={"counts": None}), None, SIZES)


# Two leaky neurons with one state and a spike in a hidden layer of 8, 64 inputs, ten outputs, batches of 4, floats
# of 4 bytes, 25 steps at once.
STATES = 8 * 2 + 10


@pytest.mark.parametrize(
    ("words", "numbers", "locality"),
    [
        ((), 25 * STATES, ("errors_of_others", "weights_of_others", "future")),
        (("rule.window=1",), 25 * STATES, ("errors_of_others", "weights_of_others")),
        (("rule=frozen",), 0, ()),
        (("rule=feedback_alignment",), 25 * STATES, ("errors_of_others", "future")),
        (("rule=dfa",), 25 * STATES, ("own_trace", "errors_of_others")),
        (("rule=drtp",), 25 * STATES, ("own_trace", "own_error")),
        (("rule=local",), 25 * (STATES + 10), ("own_trace", "own_error")),
        (("rule=ottt",), 25 * STATES, ("own_trace", "errors_of_others", "weights_of_others")),
        (
            ("network.recurrence=all_to_all", "rule=dfa"),
            25 * STATES,
            ("errors_of_others", "weights_of_others", "future"),
        ),
        # Traces of the potential are the same in all neurons, those of filtered spikes are not; 65 signals arrive.
        (
            ("rule=eprop", "loss=per_step"),
            25 * STATES + 65 * (1 + 8) + 8,
            ("own_trace", "errors_of_others", "weights_of_others"),
        ),
        (
            ("rule=eprop", "loss=per_step", "rule.update=per_step", "neuron.reset_gradient=attached"),
            STATES + 65 * 8 * 3 + 8,  # the potential, the spike that resets it, and filtered spikes
            ("own_trace", "errors_of_others", "weights_of_others"),
        ),
    ],
)
def test_what_a_rule_holds_and_hears(words, numbers, locality):
    """Counted on paper."""
    found = costed("protocol.hidden=[8]", "protocol.batch_size=4", "neuron.reset_gradient=detached", *words)
    assert found.learning.memory_bytes == numbers * 4 * 4
    assert found.learning.locality == locality


def test_command(tmp_path, capsys):
    """Of a record on disk: its parts, what was measured, and the sizes of the split that the catalogue states."""
    made = record(of=compose([]).method)
    synapses = sum(group.dense.total for layer in made.counts.layers for group in layer.synapses) // made.counts.steps
    (tmp_path / "record.json").write_bytes(to_json(made.model_copy(update={"peak_memory_bytes": 3 << 20})))
    assert main(["energy", "train", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "2 epochs of 1078 samples" in told
    assert "took 2 s" in told
    assert "3 MiB" in told
    assert main(["energy", "train", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["forward"] == 2 * 1078 * made.method.protocol.steps * synapses
    assert found["validation"] == found["forward"] // 1078 * 359
    assert main(["energy", "train", str(tmp_path / "elsewhere")]) == 2
