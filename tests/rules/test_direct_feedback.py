"""Direct feedback: each error and each reach in time against sums written out, and the rules it becomes.

Legend: T steps, B batch, N neurons, C outputs; G feedback weights; psi the surrogate's slope. All in float64, with
samples of three lengths.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.losses.per_step import PerStep
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective
from sgbench.rules.bptt import Bptt
from sgbench.rules.direct_feedback import ERRORS, TEMPORALS, DirectFeedback
from sgbench.rules.feedback_alignment import FeedbackAlignment
from sgbench.training.build import build
from tests.contracts.gradients import synapses
from tests.networks.parts import BATCH, CLASSES, LENGTHS, STEPS, given, leaky, readout, spikes
from tests.run.tiny import WORDS

PLAIN = Objective(loss=PerStep(), regulariser=NoPenalty())
KINDS = [(error, temporal) for error in ERRORS for temporal in TEMPORALS if (error, temporal) != ("signed", "eprop")]


def network(temporal: str, hidden: tuple[int, ...] = (7, 5), recurrence: str = "all_to_all") -> Mlp:
    """A network with recurrence that the reach in time asks for."""
    return Mlp(
        Provided(6, CLASSES, leaky, readout, *given()),
        hidden=hidden,
        recurrence=recurrence,
        recurrence_gradient="full" if temporal == "bptt" else "cut",
        bias=False,
    )


def batch() -> Batch:
    return Batch(spikes(6), torch.arange(BATCH) % CLASSES, LENGTHS, torch.arange(BATCH))


def begun(rule: LearningRule, net: Mlp) -> LearningRule:
    rule.begin(net, generator(0, "initialisation", "rule"))
    return rule


def gradients(rule: LearningRule, net: Mlp, objective: Objective = PLAIN) -> dict[str, Tensor]:
    net.zero_grad()
    list(rule.gradients(net, batch(), objective))
    return {name: weight.grad.clone() for name, weight in net.named_parameters()}


def passed(layer: Any, x: Tensor, temporal: str) -> Tensor:
    """A layer's spikes [T, B, N], with the history that a reach in time leaves."""
    current = synapses(layer, cut=temporal != "bptt")
    state, sent = layer.neuron.initial_state(x.new_zeros(x.shape[1], layer.neurons)), []
    for now in x:
        if temporal == "none":
            state = type(state)(*(field.detach() for field in state))
        fired, state = layer.neuron.step(current(now, state.s), state)
        sent.append(fired)
    return torch.stack(sent)


def expected_gradients(net: Mlp, error: str, temporal: str) -> dict[str, Tensor]:
    """The gradient of a sum of spikes times what reaches them, the sums over steps written out."""
    samples, kappa = batch(), net.readout.neuron.beta()
    signal, sent = samples.x, []
    for layer in net.hidden_layers:
        sent.append(passed(layer, signal, temporal))
        signal = sent[-1].detach()
    outputs = [signal[0] @ net.readout.weight.T]
    for now in signal[1:]:
        outputs.append(kappa * outputs[-1] + now @ net.readout.weight.T)
    wanted = torch.nn.functional.one_hot(samples.target, CLASSES).double()
    share = ((torch.arange(STEPS)[:, None] < LENGTHS).double() / (LENGTHS * BATCH))[..., None]
    slopes = [share[t] * (outputs[t].softmax(1) - wanted) for t in range(STEPS)]
    errors = {"signed": slopes, "sign": [share[t] * slopes[t].sign() for t in range(STEPS)]}
    errors["target"] = [-share[t] * wanted for t in range(STEPS)]

    def back(values: list[Tensor]) -> Tensor:
        reach = 0.0 if temporal == "none" else kappa
        return torch.stack(
            [sum(reach ** (later - t) * values[later] for later in range(t, STEPS)) for t in range(STEPS)]
        ).detach()

    total = (back(slopes) * (signal @ net.readout.weight.T)).sum()
    for each, weight in zip(sent, net.direct_feedback, strict=True):
        total = total + ((back(errors[error]) @ weight) * each).sum()
    names, weights = zip(*net.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(total, weights, materialize_grads=True), strict=True))


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize(
    "engine", ["auto", *(pytest.param(name, marks=pytest.mark.slow) for name in ("scan", "reference"))]
)
@pytest.mark.parametrize(("error", "temporal"), KINDS)
def test_equals_the_sums_written_out(error, temporal, engine):
    """Must match: the error as its definition has it, filtered back by the readout, times autograd's cut spikes."""
    net = network(temporal)
    net.engine = Engine(engine)
    rule = begun(DirectFeedback(error=error, temporal=temporal, gain=1.0), net)
    found, expected = gradients(rule, net), expected_gradients(net, error, temporal)
    for name, value in expected.items():
        if value.any() or temporal != "none":
            assert relative_error(found[name], value) < 1e-10, name


def test_kinds_differ_from_one_another():
    """Must differ: no two kinds agree in the first layer's weights."""
    first = {}
    for error, temporal in KINDS:
        net = network(temporal)
        found = gradients(begun(DirectFeedback(error=error, temporal=temporal, gain=1.0), net), net)
        first[error, temporal] = found["layers.0.weight"]
    kinds = list(first.values())
    for place, one in enumerate(kinds):
        assert all(relative_error(one, other) > 1e-3 for other in kinds[:place])


def test_one_layer_with_the_readouts_weights_learns_as_by_bptt():
    """Must match: back-propagation where G = O; in steps of one, its windows of one. Must differ: a drawn G."""
    for temporal, window in (("bptt", None), ("none", 1)):
        net = network(temporal, (7,), "none")
        rule = begun(DirectFeedback(error="signed", temporal=temporal, gain=1.0), net)
        drawn, expected = gradients(rule, net), gradients(Bptt(window=window), net)
        next(iter(net.direct_feedback)).copy_(net.readout.weight.detach())
        found = gradients(rule, net)
        for name, value in expected.items():
            assert relative_error(found[name], value) < 1e-10
        assert relative_error(drawn["layers.0.weight"], expected["layers.0.weight"]) > 1e-2
        assert relative_error(drawn["layers.1.weight"], expected["layers.1.weight"]) < 1e-10


def test_one_layer_is_feedback_alignment_and_two_are_not():
    """Must match: with one hidden layer the way back is the same weights. Must differ: with two it skips one."""
    for hidden in ((7,), (7, 5)):
        net = network("bptt", hidden, "none")
        direct = begun(DirectFeedback(error="signed", temporal="bptt", gain=1.0), net)
        aligned = begun(FeedbackAlignment(gain=1.0), net)
        net.readout.feedback_weight.copy_(list(net.direct_feedback)[-1])
        found = [gradients(rule, net)["layers.0.weight"] for rule in (direct, aligned)]
        assert (relative_error(*found) < 1e-10) == (len(hidden) == 1)


def test_a_penalty_acts_on_each_layers_own_spikes():
    """Must match: gradients of the rule and of the penalty on cut spikes add up; neither is 0."""
    bounds = ActivityBounds(lower_strength=0.3, lower_spikes=2.0, upper_strength=0.2, upper_spikes=1.0)
    net = network("bptt", recurrence="none")
    rule = begun(DirectFeedback(error="target", temporal="bptt", gain=1.0), net)
    plain, both = gradients(rule, net), gradients(rule, net, Objective(loss=PerStep(), regulariser=bounds))
    signal, sent = batch().x, []
    for layer in net.hidden_layers:
        sent.append(passed(layer, signal, "bptt"))
        signal = sent[-1].detach()
    seen = net.unroll(batch().x, LENGTHS, keep=frozenset({"spikes"}))
    penalty = bounds.penalty(type(seen)(seen.output, LENGTHS, tuple(sent), (), ()))
    weights = [layer.weight for layer in net.hidden_layers]
    for place, slope in enumerate(torch.autograd.grad(penalty, weights)):
        name = f"layers.{place}.weight"
        assert slope.any()
        assert relative_error(both[name], plain[name] + slope) < 1e-10


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rule=dfa", "network=spiking_resnet"), "rule=direct_feedback: needs layers one behind the other"),
        (("rule=dfa", "rule.error=half"), r"rule\.error='half': one of signed, sign, target"),
        (("rule=dfa", "rule.temporal=rtrl"), r"rule\.temporal='rtrl': one of bptt, eprop, none"),
        (("rule=dfa", "rule.gain=0"), r"rule\.gain=0: a number in \(0, inf"),
        (("rule=dfa", "rule.temporal=eprop"), r"use rule=eprop rule\.feedback=random rule\.form=unrolled"),
        (("rule=etlp", "network.recurrence=all_to_all"), r"use network\.recurrence_gradient=cut"),
        (
            ("rule=drtp", "network.recurrence=one_to_one", "network.recurrence_gradient=cut"),
            r"use network\.recurrence_gradient=full",
        ),
        (("rule=erbp", "network=delayed"), r"rule\.temporal=none: the synapses .* use rule\.temporal=bptt"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_what_does_not_go_together_is_refused(words, message):
    """Expected: an InputError that names the mend."""
    with pytest.raises(InputError, match=message):
        build(compose([*WORDS, *words]))
