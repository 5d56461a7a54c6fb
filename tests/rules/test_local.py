"""Local losses through fixed random readouts: against autograd with cuts, DECOLLE's product, and full gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import sgbench
from fastspiking.choose import Engine
from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.losses.per_step import PerStep
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective
from sgbench.rules.bptt import Bptt
from sgbench.rules.local import Local
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of
from tests.entries import spec_with
from tests.messages import raises_naming
from tests.networks.parts import BATCH, CLASSES, LENGTHS, STEPS, given, leaky, mlp, spikes
from tests.run.tiny import WORDS

POOLED = "network.pooling_of=spikes"
PLAIN = Objective(loss=MaxOverTime(), regulariser=NoPenalty())


def batch() -> Batch:
    """Random spikes with classes in turn, of three lengths."""
    return Batch(spikes(6), torch.arange(BATCH) % CLASSES, LENGTHS, torch.arange(BATCH))


def begun(net: Mlp, gain: float = 1.0) -> Local:
    """A rule whose readouts the network has."""
    rule = Local(gain=gain)
    rule.begin(net, generator(0, "initialisation", "rule"))
    return rule


def gradients(rule: LearningRule, net: Mlp, objective: Objective = PLAIN) -> tuple[dict[str, Tensor], Tensor]:
    """By parameter, and the loss."""
    net.zero_grad()
    (progress,) = rule.gradients(net, batch(), objective)
    return {name: weight.grad.clone() for name, weight in net.named_parameters()}, progress.loss


def run(layer: Any, x: Tensor, weight: Tensor) -> Tensor:
    """A layer's neurons over time, step by step, behind these weights."""
    state, out = layer.neuron.initial_state(x[0] @ weight.T), []
    for now in x @ weight.T:
        fired, state = layer.neuron.step(now, state)
        out.append(fired)
    return torch.stack(out)


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("bounded", [False, True])
def test_gradients_are_those_of_cut_graphs(engine, bounded):
    """Must match: autograd of each layer's loss alone, written out step by step, with a penalty or without."""
    net = mlp()
    net.engine = Engine(engine)
    bounds = ActivityBounds(lower_strength=0.3, lower_spikes=2.0, upper_strength=0.2, upper_spikes=1.0)
    objective = Objective(loss=MaxOverTime(), regulariser=bounds if bounded else NoPenalty())
    found, loss = gradients(begun(net), net, objective)
    target = batch().target
    signal, fired = batch().x, []
    for place, layer in enumerate(net.hidden_layers):
        sent = run(layer, signal, layer.weight)
        fired.append(sent)
        heard = run(net.readout, sent, net.local_readouts[place].weight)
        own = PLAIN.loss.whole(Trajectory(heard, LENGTHS, (), (), ()), target)
        if bounded:
            own = own + bounds.penalty(Trajectory(heard, LENGTHS, (sent,), (), ()))
        (expected,) = torch.autograd.grad(own, layer.weight)
        assert expected.any()
        torch.testing.assert_close(found[f"layers.{place}.weight"], expected, rtol=1e-10, atol=1e-12)
        signal = sent.detach()
    output = run(net.readout, signal, net.readout.weight)
    last = PLAIN.loss.whole(Trajectory(output, LENGTHS, (), (), ()), target)
    (expected,) = torch.autograd.grad(last, net.readout.weight)
    torch.testing.assert_close(found["layers.2.weight"], expected, rtol=1e-10, atol=1e-12)
    penalty = bounds.penalty(Trajectory(output, LENGTHS, tuple(fired), (), ())) if bounded else 0
    torch.testing.assert_close(loss, (last + penalty).detach())


def test_it_is_the_three_factor_rule_of_the_paper():
    """Must match: error through G, times the slope, times the filtered input, each step from the step before alone.

    With readout units that forget at once and cross-entropy in each step; potentials decay by 0.8, reset detached.
    """
    net = Mlp(
        Provided(6, CLASSES, leaky, lambda n: LeakyReadout(n, beta=0.0, learn_beta="none"), *given()),
        hidden=[7, 5],
        recurrence="none",
        recurrence_gradient="full",
        bias=False,
    )
    found, _ = gradients(begun(net), net, Objective(loss=PerStep(), regulariser=NoPenalty()))
    signal = batch().x
    for place, layer in enumerate(net.hidden_layers):
        fixed = net.local_readouts[place].weight
        trace, state = torch.zeros(BATCH, layer.weight.shape[1], dtype=torch.float64), None
        total, sent = torch.zeros_like(layer.weight), []
        for t in range(STEPS):
            trace = 0.8 * trace + signal[t]
            current = signal[t] @ layer.weight.T
            fired, state = layer.neuron.step(current, state or layer.neuron.initial_state(current))
            error = torch.softmax(fired @ fixed.T, 1)
            error = error - torch.nn.functional.one_hot(batch().target, CLASSES)
            share = ((t < LENGTHS).double() / LENGTHS / BATCH)[:, None]
            slope = layer.neuron.surrogate.derivative(layer.neuron.centred(state))
            total += ((share * error) @ fixed * slope).T @ trace
            sent.append(fired)
        assert total.any()
        torch.testing.assert_close(found[f"layers.{place}.weight"], total.detach(), rtol=1e-10, atol=1e-12)
        signal = torch.stack(sent).detach()


def test_convolutions_learn_by_the_traces_of_the_paper():
    """Must match, forward in time: Q and P of what arrives, U = W * P - R, and error through G times slope times P.

    Kaiser et al. 2020, equations 1 and 9, written with torch's convolutions; the largest of 2 x 2 spikes between.
    """
    decays = {"neuron.alpha": 0.6, "neuron.beta": 0.8, "neuron.rho": 0.5, "neuron.kappa": 0.7}
    images = {"network.channels": [3, 4], "network.stride": 1, "network.pooling": "max"}
    images |= {"network.pooling_of": "spikes", "readout.beta": 0.0, "init.gain": 6.0, "rule.form": "online"}
    choices = {"rule": "local", "network": "conv", "neuron": "srm", "loss": "per_step"}
    parts = build(spec_with(choices, decays | images | {"protocol.precision": "float64"}))
    random = torch.Generator().manual_seed(5)
    signal = (torch.rand(STEPS, BATCH, 64, generator=random) < 0.3).double()
    given = Batch(signal, torch.arange(BATCH) % 10, LENGTHS, torch.arange(BATCH))
    list(parts.rule.gradients(parts.network, given, parts.objective))
    signal = signal.view(STEPS, BATCH, 1, 8, 8)
    for place, layer in enumerate(parts.network.hidden_layers):
        weight, fixed = layer.weight.detach(), parts.network.local_readouts[place].weight
        q, p, fired, refractory, sent = 0.0, 0.0, 0.0, 0.0, []
        total = torch.zeros_like(weight)
        for t in range(STEPS):
            q = 0.6 * q + signal[t]
            p = 0.8 * p + q
            refractory = 0.5 * refractory + 0.7 * fired
            above = torch.nn.functional.conv2d(p, weight, padding=1) - refractory - layer.neuron.threshold()
            fired = (above > 0).double()
            error = torch.softmax(fired.flatten(1) @ fixed.T, 1)
            error = error - torch.nn.functional.one_hot(given.target, 10)
            error = (error * ((t < LENGTHS).double() / LENGTHS / BATCH)[:, None]) @ fixed
            slope = error.view_as(above) * layer.neuron.surrogate.derivative(above)
            total += torch.nn.grad.conv2d_weight(p, list(weight.shape), slope, padding=1)
            sent.append(torch.nn.functional.max_pool2d(fired, 2))
        assert 0.01 < torch.stack(sent).mean() < 0.99
        assert total.any()
        torch.testing.assert_close(layer.weight.grad, total.detach(), rtol=1e-10, atol=1e-14)
        signal = torch.stack(sent)


def test_one_layer_whose_readout_is_the_networks_learns_as_by_bptt():
    """Must match: back-propagation, where G is the readout's own weight. Must differ: a drawn G, and two layers."""
    net = mlp((7,))
    rule = begun(net)
    drawn, _ = gradients(rule, net)
    net.local_readouts[0].weight.copy_(net.readout.weight.detach())
    found, loss = gradients(rule, net)
    expected, exact = gradients(Bptt(window=None), net)
    assert loss == exact
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-12)
    assert (drawn["layers.0.weight"] - expected["layers.0.weight"]).abs().max() > 1e-3
    deep = mlp()
    local, _ = gradients(begun(deep), deep)
    whole, _ = gradients(Bptt(window=None), deep)
    assert (local["layers.0.weight"] - whole["layers.0.weight"]).abs().max() > 1e-3
    torch.testing.assert_close(local["layers.2.weight"], whole["layers.2.weight"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("form", ["unrolled", "online"])
def test_a_fixed_readout_answers_for_the_last_layer(form):
    """Must match: the last local readout's weights, and gradients of hidden layers beside a readout that learns.

    Nothing comes from above, so the lower layer learns as in a network that ends with it, and answers alike.
    """
    objective, found = Objective(loss=PerStep(), regulariser=NoPenalty()), {}
    for readout, hidden in (("fixed", (7, 5)), ("learnt", (7, 5)), ("fixed", (7,))):
        net = mlp(hidden)
        rule = Local(gain=1.0, form=form, readout=readout)
        rule.begin(net, generator(0, "initialisation", "rule"))
        list(rule.gradients(net, batch(), objective))
        found[readout, len(hidden)] = [layer.weight.grad for layer in net.layers]
        if readout == "fixed":
            assert torch.equal(net.readout.weight, net.local_readouts[-1].weight)
            assert net.readout.weight.grad is None
    deep, learnt, short = found.values()
    assert torch.equal(deep[0], learnt[0])
    assert torch.equal(deep[1], learnt[1])
    assert torch.equal(deep[0], short[0])
    assert deep[0].any()
    assert learnt[2].any()


def test_local_losses_begin_behind_the_burn_in():
    """Must match: autograd of each layer's loss over the later steps alone, earlier ones still traces of theirs.

    Must differ: without a burn-in. The network's own readout learns as before.
    """
    net, long = mlp(), torch.full((BATCH,), STEPS)
    rule = begun(net)
    given = batch()._replace(lengths=long)

    def of(some: LearningRule) -> dict[str, Tensor]:
        net.zero_grad()
        list(some.gradients(net, given, PLAIN))
        return {name: weight.grad.clone() for name, weight in net.named_parameters()}

    without, found = of(rule), of(Local(gain=1.0, burn_in_s=0.004, dt_s=0.002))
    signal = given.x
    for place, layer in enumerate(net.hidden_layers):
        sent = run(layer, signal, layer.weight)
        heard = run(net.readout, sent, net.local_readouts[place].weight)
        own = PLAIN.loss.whole(Trajectory(heard[2:], long - 2, (), (), ()), given.target)
        (expected,) = torch.autograd.grad(own, layer.weight)
        torch.testing.assert_close(found[f"layers.{place}.weight"], expected, rtol=1e-10, atol=1e-12)
        assert (without[f"layers.{place}.weight"] - expected).abs().max() > 1e-3 * expected.abs().max()
        signal = sent.detach()
    assert torch.equal(found["layers.2.weight"], without["layers.2.weight"])
    with raises_naming(InputError, "1 steps", "2 steps", "rule.burn_in_s=null"):
        list(Local(gain=1.0, burn_in_s=0.004, dt_s=0.002).gradients(net, batch(), PLAIN))


def test_readouts_are_fixed_and_drawn_from_the_seed():
    """Expected: no parameters, normal of deviation gain / sqrt n, equal for equal seeds and unequal for others."""
    net, again, other = mlp((400,)), mlp((400,)), mlp((400,))
    begun(net, 2.0)
    begun(again, 2.0)
    Local(gain=2.0).begin(other, generator(1, "initialisation", "rule"))
    weight = net.local_readouts[0].weight
    assert weight.std().item() == pytest.approx(2.0 / 20, rel=0.1)
    assert torch.equal(weight, again.local_readouts[0].weight)
    assert not torch.equal(weight, other.local_readouts[0].weight)
    assert not [name for name, _ in net.named_parameters() if "local" in name]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("network=spiking_resnet",), "rule=local: needs layers one behind the other, SpikingResnet"),
        (("readout.learn_beta=shared",), r"rule=local: .* their beta cannot learn; use readout\.learn_beta=none"),
        (
            ("network=conv", "network.stride=1", "network.pooling=max", POOLED, "rule.readout=fixed"),
            r"pooled on its way; leave the last layer out of network\.pooled_layers",
        ),
        (("rule.gain=0",), r"rule\.gain=0: a number in \(0, inf"),
        (("rule.burn_in_s=0",), r"rule\.burn_in_s=0: a number in \(0, inf"),
    ],
)
def test_what_does_not_go_together_is_refused(words, message):
    """Expected: an InputError that names the mend."""
    with pytest.raises(InputError, match=message):
        build(compose([*WORDS, "rule=local", *words]))


def test_a_run_learns_and_keeps_its_readouts(tmp_path):
    """Expected: the loss falls, the weights file holds the readouts as drawn, and no more parameters are told."""
    words = [*WORDS, "protocol.hidden=[8,8]", f"paths.runs_dir={tmp_path}"]
    record = sgbench.run(*words, "rule=local")
    assert record.status == "finished"
    assert record.curve[-1].validation_loss < record.curve[0].validation_loss
    spec = compose([*words, "rule=local"])
    kept = load_file(folder_of(spec) / "weights.safetensors")
    drawn = build(spec).network.state_dict()
    for place in (0, 1):
        key = f"local_readouts.{place}.weight"
        assert torch.equal(kept[key], drawn[key])
    plain = build(compose(words)).network
    assert record.parameters == sum(weight.numel() for weight in plain.parameters())
    assert torch.equal(drawn["layers.0.weight"], plain.state_dict()["layers.0.weight"])
