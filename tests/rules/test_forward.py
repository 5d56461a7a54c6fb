"""Rules forward in time against their unrolled forms, which other tests hold against autograd; all in float64."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.errors import InputError
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.walk import Jacobians, TimeWindow, walk
from sgbench.rules.base import LearningRule
from sgbench.rules.bptt import Bptt
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.eprop import EProp
from sgbench.rules.s_tllr import STllr, _TracePair
from sgbench.training.build import Parts, build
from tests.entries import spec_with
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("loops_in_python")
SIZES: dict[str, Any] = {
    "protocol.steps": 12,
    "protocol.batch_size": 4,
    "protocol.hidden": [6, 5],
    "protocol.precision": "float64",
    "init.gain": 2.0,
    "network.bias": True,
    "network.recurrence_gradient": "cut",
}
PER_STEP = {"loss": "per_step"}
TRAINS = {"dataset": "spike_patterns", "encoder": "binned", "loss": "van_rossum", "readout": "leaky"}
MONITOR = {"protocol.monitor": "validation_loss"}
CONVOLVED = {"rule": "local", "network": "conv", "neuron": "synaptic", **PER_STEP}
IMAGES = {"network.channels": [3, 4], "network.stride": 1, "readout.beta": 0.0, "init.gain": 4.0}
FORMS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "local": ({"rule": "local", **PER_STEP}, {}),
    "local, burn-in": ({"rule": "local", **PER_STEP}, {"rule.burn_in_s": 0.003}),
    "local, all to all": ({"rule": "local", **PER_STEP}, {"network.recurrence": "all_to_all"}),
    "local, traces of inputs alone": ({"rule": "local", "neuron": "srm", **PER_STEP}, {"readout.beta": 0.0}),
    "convolutions": (CONVOLVED, IMAGES),
    "convolutions, burn-in, largest spikes": (
        CONVOLVED | {"neuron": "srm"},
        IMAGES | {"rule.burn_in_s": 0.003, "network.pooling": "max", "network.pooling_of": "spikes"},
    ),
    "convolutions, mean currents": (
        CONVOLVED | {"neuron": "leaky"},
        IMAGES | {"network.pooling": "average", "network.kernel_size": 5},
    ),
    "convolutions, all to all": (CONVOLVED, IMAGES | {"network.recurrence": "all_to_all"}),
    "convolutions, one to one": (CONVOLVED, IMAGES | {"network.recurrence": "one_to_one"}),
    "ostl": ({"rule": "ostl", **PER_STEP}, {"neuron.reset": "zero"}),
    "ostl, all to all": ({"rule": "ostl", **PER_STEP}, {"network.recurrence": "all_to_all"}),
    "superspike": ({"rule": "superspike", **TRAINS}, MONITOR),
    "superspike, kernel without rise": ({"rule": "superspike", **TRAINS}, MONITOR | {"loss.tau_rise_s": 0.0}),
    "superspike, one to one": (
        {"rule": "superspike", "neuron": "synaptic", **TRAINS},
        MONITOR | {"network.recurrence": "one_to_one", "neuron.reset_gradient": "attached"},
    ),
}


def parts_of(choices: dict[str, str], values: dict[str, Any]) -> tuple[Parts, Batch]:
    """A run, and a batch of noise whose samples end at different steps."""
    parts = build(spec_with(choices, SIZES | values))
    return parts, noise(parts, 12, torch.tensor([12, 7, 5, 10]))


def noise(parts: Parts, steps: int, lengths: Tensor) -> Batch:
    """Random spikes, also behind the ends of samples; classes, or trains where the loss asks for them."""
    random = torch.Generator().manual_seed(3)
    first, outputs = parts.network.hidden_layers[0], parts.network.readout.neurons
    inputs = math.prod(first.image_in) if isinstance(first, ConvLayer) else first.weight.shape[1]
    x = (torch.rand(steps, len(lengths), inputs, generator=random) < 0.3).double()
    target = torch.randint(outputs, (len(lengths),), generator=random)
    if "spikes" in parts.objective.loss.targets:
        target = (torch.rand(len(lengths), steps, outputs, generator=random) < 0.2).double()
    return Batch(x, target, lengths, torch.arange(len(lengths)))


def gradients(parts: Parts, rule: LearningRule, batch: Batch) -> tuple[dict[str, Tensor], float, int]:
    """By name of the weight; the loss, and the number of yields."""
    parts.network.zero_grad()
    made = list(rule.gradients(parts.network, batch, parts.objective))
    found = {name: weight.grad + 0 for name, weight in parts.network.named_parameters() if weight.grad is not None}
    return found, sum(each.loss.item() for each in made), len(made)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-10) -> None:
    """Each weight's largest error, by its largest gradient."""
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert wanted.abs().max() > 0, name
        assert (found[name] - wanted).abs().max() <= tolerance * wanted.abs().max(), name


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.one_in(10)
@pytest.mark.parametrize("size", [5, 50], ids=["windows", "one window"])
def test_both_forms_agree(form, size, monkeypatch):
    """Must match: each layer's adjoint, and eligibilities forward in time, in several windows and in one."""
    for name in ("forward.Forward.spans.__defaults__", "local.WINDOW", "local.CONVOLVED_WINDOW"):
        monkeypatch.setattr(f"sgbench.rules.{name}", (size,) if "spans" in name else size)
    choices, values = FORMS[form]
    parts, batch = parts_of(choices, values)
    unrolled, loss, _ = gradients(parts, parts.rule, batch)
    parts.rule.form = "online"  # type: ignore[attr-defined]
    parts.rule.check(parts.network, parts.objective)
    online, share, _ = gradients(parts, parts.rule, batch)
    assert_same(online, unrolled)
    assert share == pytest.approx(loss, rel=1e-12)


def test_no_form_falls_back_to_autograd_of_the_network(monkeypatch):
    """Expected: forward in time nothing unrolls the network."""
    for name in ("local", "ostl", "superspike"):
        choices, values = FORMS[name]
        parts, batch = parts_of(choices, values | {"rule.form": "online"})
        monkeypatch.setattr(type(parts.network.engine), "unroll", None)
        gradients(parts, parts.rule, batch)
        monkeypatch.undo()


def test_convolutions_learn_otherwise_than_by_bptt():
    """Must differ: back-propagation, in hidden layers alone; must match it in the readout."""
    choices, values = FORMS["convolutions"]
    parts, batch = parts_of(choices, values | {"rule.form": "online"})
    found, loss, _ = gradients(parts, parts.rule, batch)
    expected, share, _ = gradients(parts, Bptt(window=None), batch)
    assert share == pytest.approx(loss, rel=1e-12)
    for name, wanted in expected.items():
        error = (found[name] - wanted).abs().max() / wanted.abs().max()
        assert error < 1e-10 if name.startswith("layers.2") else error > 0.1, name


@pytest.mark.parametrize("form", ["local", "convolutions, burn-in, largest spikes"])
def test_updates_per_step_add_up(form):
    """Must match: while weights stay, each step's gradients add up to those of one update a sequence."""
    choices, values = FORMS[form]
    parts, batch = parts_of(choices, values | {"rule.form": "online"})
    expected, loss, _ = gradients(parts, parts.rule, batch)
    parts.rule.update = "per_step"  # type: ignore[attr-defined]
    found, share, yields = gradients(parts, parts.rule, batch)
    assert_same(found, expected)
    assert share == pytest.approx(loss, rel=1e-12)
    assert yields == 12


def test_no_trace_of_a_synapse_is_kept_behind_a_readout_that_forgets():
    """Expected by hand: of each field that filters, one number a signal and one for the bias, of each sample."""
    for form, signals in (("local, traces of inputs alone", None), ("convolutions", 64)):
        choices, values = FORMS[form]
        parts, batch = parts_of(choices, values)
        layer = parts.network.hidden_layers[0]
        traces = Eligibility(layer, 0.0)
        window = walk(layer, batch.x, None, jacobians=True)
        with torch.no_grad():
            traces.advance(window, torch.ones_like(window.output))
        expected = (4, 1, (signals or layer.weight.shape[1]) + 1)
        assert [tuple(trace.shape) for trace in traces.dense] == [expected] * 2


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ({"readout.beta": 0.9}, r"readout\.beta=0 or"),
        ({"network.pooling": "max"}, r"network\.pooling_of=spikes or"),
        ({"neuron.reset_gradient": "attached"}, r"neuron\.reset_gradient=detached or"),
        ({"neuron.beta": [0.5, 0.9]}, "traces are not alike"),
        ({"rule.form": "unrolled", "rule.update": "per_step"}, r"use rule\.update=per_sequence"),
    ],
)
def test_what_shared_traces_cannot_carry_is_refused(words, remedy):
    """Expected: a line that names the layer and the remedy."""
    with pytest.raises(InputError, match=remedy):
        parts_of(CONVOLVED, IMAGES | {"rule.form": "online"} | words)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ({"network.recurrence": "all_to_all", "network.recurrence_gradient": "full"}, "recurrence_gradient=cut"),
        ({"neuron.learn_beta": "shared"}, "use neuron.learn_beta=none"),
        ({"readout.learn_beta": "shared"}, "use readout.learn_beta=none"),
    ],
)
def test_what_traces_cannot_carry_is_refused(words, remedy):
    """Expected: a line that names the remedy, which composes and trains (the pairs of contracts run them)."""
    with pytest.raises(InputError, match=remedy):
        parts_of({"rule": "ostl", **PER_STEP}, {"rule.form": "online", **words})


# --- two sides of a synapse


def test_s_tllr_is_ottt_without_its_second_trace():
    """Must match OTTT in two hidden layers if the trace is the membrane's; must differ with the second trace."""
    leaky = {"neuron.reset": "subtract", "neuron.reset_gradient": "detached", "neuron.beta": 0.8}
    parts, batch = parts_of({"rule": "ottt", **PER_STEP}, leaky)
    expected, loss, _ = gradients(parts, parts.rule, batch)
    causal = leaky | {"rule.alpha_post": 0.0, "rule.lambda_pre": 0.8}
    for changes, equal in (({}, True), ({"rule.alpha_post": -0.2}, False)):
        other, _ = parts_of({"rule": "s_tllr", **PER_STEP}, causal | changes)
        found, share, _ = gradients(other, other.rule, batch)
        assert share == pytest.approx(loss, rel=1e-12)
        if equal:
            assert_same(found, expected)
        else:
            one, two = (each["layers.0.weight"].flatten() for each in (found, expected))
            assert 0 < torch.nn.functional.cosine_similarity(one, two, dim=0) < 1 - 1e-5


def test_s_tllr_by_hand():
    """Expected: the second term counted on paper; a slope at step 0, a presynaptic spike at step 1."""
    parts, _ = parts_of({"rule": "s_tllr", **PER_STEP}, {})
    layer = parts.network.hidden_layers[1]
    rule = STllr(alpha_pre=0.0, alpha_post=2.0, lambda_pre=0.0, lambda_post=0.5)
    n, k = layer.neurons, layer.weight.shape[1]
    arriving, slope = torch.zeros(3, 1, k).double(), torch.zeros(3, 1, n).double()
    slope[0, 0, 0], arriving[2, 0, 1] = 0.7, 1.0
    state = layer.neuron.initial_state(slope[0])
    before = type(state)(*(torch.zeros(3, 1, n).double() for _ in state))
    local = Jacobians(tuple(slope if name == "s" else None for name in state._fields), ())
    parts.network.zero_grad()
    _TracePair(layer, rule).advance(TimeWindow(arriving, before, slope, state, local), torch.ones(3, 1, n).double())
    assert layer.weight.grad is not None
    assert layer.weight.grad[0, 1].item() == pytest.approx(2.0 * 0.5 * 0.7)
    assert layer.weight.grad.count_nonzero() == 1


# --- penalties and windows


@pytest.mark.parametrize("size", [5, 50], ids=["windows", "one window"])
def test_eprop_knows_a_penalty_on_filtered_rates(size, monkeypatch):
    """Must match: autograd of loss and penalty with recurrent spikes cut; without the penalty it must differ."""
    monkeypatch.setattr("sgbench.rules.eprop.WINDOW", size)
    parts, batch = parts_of(
        {"rule": "eprop", "regulariser": "filtered_rate", **PER_STEP},
        {
            "protocol.hidden": [6],
            "network.recurrence": "all_to_all",
            "regulariser.strength": 50.0,
            "regulariser.tau_s": 0.005,
            "readout.beta": 0.8187307530779818,  # exp(-1/5)
        },
    )
    assert isinstance(parts.rule, EProp)
    found, share, _ = gradients(parts, parts.rule, batch)
    expected, loss, _ = gradients(parts, Bptt(window=None), batch)
    assert_same(found, expected)
    assert share == pytest.approx(loss, rel=1e-12)
    plain, _ = parts_of({"rule": "eprop", **PER_STEP}, {"protocol.hidden": [6], "network.recurrence": "all_to_all"})
    without, _, _ = gradients(plain, plain.rule, batch)
    assert (without["layers.0.weight"] - found["layers.0.weight"]).abs().max() > 1e-3


def test_a_filter_that_is_not_the_readouts_is_refused():
    """Expected: the remedy, copied, composes."""
    values = {"protocol.hidden": [6], "regulariser.tau_s": 0.004}
    choices = {"rule": "eprop", "regulariser": "filtered_rate", **PER_STEP}
    with raises_naming(InputError, "rule=eprop", f"{math.exp(-0.001 / 0.004):g}") as caught:
        parts_of(choices, values)
    beta = float(str(caught.value).partition("readout.beta=")[2].split()[0])
    parts_of(choices, values | {"readout.beta": beta})


@pytest.mark.parametrize("window", [1, 5, 12])
def test_updates_per_window_add_up(window):
    """Must match: while weights stay, the windows' gradients are those of windows with one update a sequence."""
    parts, batch = parts_of(PER_STEP, {"rule.window": window, "network.recurrence": "all_to_all"})
    expected, loss, _ = gradients(parts, parts.rule, batch)
    parts.rule.update = "per_window"  # type: ignore[attr-defined]
    parts.rule.check(parts.network, parts.objective)
    found, share, yields = gradients(parts, parts.rule, batch)
    assert_same(found, expected)
    assert share == pytest.approx(loss, rel=1e-12)
    assert yields == -(-12 // window)


def test_updates_per_window_need_a_window_and_shares_of_steps():
    """Expected: what is missing, and the words that bring it."""
    with pytest.raises(InputError, match=r"use rule\.window=10"):
        Bptt(window=None, update="per_window")
    with pytest.raises(InputError, match="use loss=per_step"):
        parts_of({}, {"rule.window": 5, "rule.update": "per_window"})


# --- memory


RULES = {
    "eprop": PER_STEP,
    "local": PER_STEP,
    "ostl": PER_STEP,
    "s_tllr": PER_STEP,
    "superspike": TRAINS,
    "bptt": PER_STEP,
}
FORM = {"bptt": {"rule.window": 10, "rule.update": "per_window"}, "s_tllr": {}}


def peak_of_living(parts: Parts, batch: Batch) -> int:
    """The most bytes of tensors alive at once, by torch's own record of each piece that it took and gave back."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        for _ in parts.rule.gradients(parts.network, batch, parts.objective):
            parts.network.zero_grad()
    events = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    pieces = sorted((each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]")  # type: ignore[attr-defined]
    return max(itertools.accumulate(size for _, size in pieces))


def peak(choices: dict[str, str], values: dict[str, Any], steps: int) -> int:
    """The most bytes alive beside a batch of so many steps."""
    parts = build(spec_with(choices, SIZES | values | {"protocol.steps": steps}))
    return peak_of_living(parts, noise(parts, steps, torch.full((4,), steps)))


@pytest.mark.slow
@pytest.mark.parametrize("rule", list(RULES))
def test_memory_does_not_grow_with_time(rule):
    """Expected: the most bytes alive beside the batch are equal at 100, 400 and 1600 steps, within 5 %."""
    values = {"protocol.hidden": [20], **FORM.get(rule, {"rule.form": "online"})}
    values |= MONITOR if rule == "superspike" else {}
    peaks = [peak({"rule": rule, **RULES[rule]}, values, steps) for steps in (100, 400, 1600)]
    assert max(peaks) <= 1.05 * min(peaks)


@pytest.mark.slow
@pytest.mark.parametrize("update", ["per_sequence", "per_step"])
def test_memory_of_convolutions_does_not_grow_with_time(update):
    """Expected: the most bytes alive are equal at 20 and 80 steps, within 5 %; unrolled they triple."""
    online = IMAGES | {"rule.form": "online", "rule.update": update}
    assert peak(CONVOLVED, online, 80) <= 1.05 * peak(CONVOLVED, online, 20)
    if update == "per_sequence":
        assert peak(CONVOLVED, IMAGES, 80) >= 3 * peak(CONVOLVED, IMAGES, 20)
