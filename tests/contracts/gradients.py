"""Gradients of a small dense network that come from no rule: autograd over loops written out step by step.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.networks.base import Network, surrogates
from sgbench.neurons.base import Neuron
from sgbench.rules.base import Objective

Gradients = dict[str, Tensor]
"""The gradient of each parameter by name; of one that the loss does not depend on, zeros."""
Incoming = Callable[[Tensor, Tensor], Tensor]
"""The current of a step [B, N], from what arrives [B, inputs] and the layer's spikes of the step before [B, N]."""


def run(neuron: Neuron, x: Tensor, incoming: Incoming) -> Tensor:
    """Return what neurons send [T, B, N]."""
    nothing = x.new_zeros(x.shape[1], incoming(x[0], None).shape[1])  # type: ignore[arg-type]
    state, sent = neuron.initial_state(nothing), []
    spikes = nothing
    for now in x:
        output, state = neuron.step(incoming(now, spikes), state)
        spikes = output
        sent.append(output)
    return torch.stack(sent)


def synapses(layer: torch.nn.Module, *, cut: bool) -> Incoming:
    """Return the product of a dense layer: W x + b + V s, with no gradient through s where it is cut."""

    def incoming(x: Tensor, spikes: Tensor | None) -> Tensor:
        current = x @ layer.weight.T
        current = current if layer.bias is None else current + layer.bias
        if layer.recurrent is None or spikes is None:
            return current
        return current + (spikes.detach() if cut else spikes) @ layer.recurrent.T

    return incoming


def loss_of(output: Tensor, spikes: list[Tensor], batch: Batch, objective: Objective) -> Tensor:
    """Return the objective of a readout's outputs [T, B, C] and hidden spikes."""
    return objective.whole(Trajectory(output, batch.lengths, tuple(spikes), (), ()), batch.target)


def differentiated(network: Network, loss: Tensor) -> Gradients:
    """Return the gradient of each parameter."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    slopes = torch.autograd.grad(loss, parameters, materialize_grads=True)
    return dict(zip(names, slopes, strict=True))


def whole_gradient(network: Network, batch: Batch, objective: Objective, *, cut: bool = False) -> Gradients:
    """Return the gradient of the loss through all steps and layers, recurrent spikes cut or not."""
    signal, spikes = batch.x, []
    for layer in network.hidden_layers:
        signal = run(layer.neuron, signal, synapses(layer, cut=cut))
        spikes.append(signal)
    output = run(network.readout.neuron, signal, synapses(network.readout, cut=cut))
    return differentiated(network, loss_of(output, spikes, batch, objective))


def cut_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return the gradient of the loss with recurrent spikes cut."""
    return whole_gradient(network, batch, objective, cut=True)


def local_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return the gradient of the sum of each layer's own loss, with what arrives taken as given."""
    signal, spikes, total = batch.x, [], batch.x.new_zeros(())
    for layer, local in zip(network.hidden_layers, network.local_readouts, strict=True):  # type: ignore[arg-type]
        sent = run(layer.neuron, signal, synapses(layer, cut=False))
        spikes.append(sent)
        heard = run(network.readout.neuron, sent, lambda x, _, weight=local.weight: x @ weight.T)
        total = total + objective.loss.whole(Trajectory(heard, batch.lengths, (), (), ()), batch.target)
        signal = sent.detach()
    output = run(network.readout.neuron, signal, synapses(network.readout, cut=False))
    return differentiated(network, total + loss_of(output, spikes, batch, objective))


def aligned_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return the gradient of the loss with the layers' feedback weights on every way back.

    Forward, the feedback weights add a current and take the same away, so that only its gradient remains.
    """
    signal, spikes = batch.x, []
    for layer in network.layers:
        ways = (layer.feedback_weight, layer.recurrent_feedback)
        signal = run(layer.neuron, signal, _aligned(synapses(layer, cut=False), *ways))
        spikes.append(signal)
    return differentiated(network, loss_of(signal, spikes[:-1], batch, objective))


def _aligned(plain: Incoming, weight: Tensor | None, recurrent: Tensor | None) -> Incoming:
    def incoming(x: Tensor, spikes: Tensor | None) -> Tensor:
        current = plain(x.detach(), None if spikes is None else spikes.detach())
        for source, matrix in ((x, weight), (spikes, recurrent)):
            if source is not None and matrix is not None:
                sent = source @ matrix.T
                current = current + (sent - sent.detach())
        return current

    return incoming


def direct_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return the gradient of a sum of spikes, each times what the error of the readout's current sends it."""
    signal, sent = batch.x, []
    for layer in network.hidden_layers:
        sent.append(run(layer.neuron, signal, synapses(layer, cut=False)))
        signal = sent[-1].detach()
    current = signal @ network.readout.weight.T
    current = current if network.readout.bias is None else current + network.readout.bias
    given = current.detach().requires_grad_()
    output = run(network.readout.neuron, given, lambda x, _: x)
    loss = loss_of(output, [each.detach() for each in sent], batch, objective)
    (error,) = torch.autograd.grad(loss, given)
    total = (error * current).sum()
    for spikes, weight in zip(sent, network.direct_feedback, strict=True):  # type: ignore[arg-type]
        total = total + ((error @ weight) * spikes).sum()
    return differentiated(network, total)


def own_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return the gradient of the loss with each neuron's own recurrent spike attached and those of others cut."""

    def incoming(layer: torch.nn.Module) -> Incoming:
        plain = synapses(layer, cut=True)

        def current(x: Tensor, spikes: Tensor | None) -> Tensor:
            total = plain(x, spikes)
            if layer.recurrent is None or spikes is None:
                return total
            return total + layer.recurrent.diagonal() * (spikes - spikes.detach())

        return current

    signal, spikes = batch.x, []
    for layer in network.hidden_layers:
        signal = run(layer.neuron, signal, incoming(layer))
        spikes.append(signal)
    output = run(network.readout.neuron, signal, incoming(network.readout))
    return differentiated(network, loss_of(output, spikes, batch, objective))


def projected_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return the gradient of the loss projected on one direction, drawn from the network's own noise."""
    found = whole_gradient(network, batch, objective)
    seeded(network)
    direction = {name: network.rule_noise.normal_like(slope) for name, slope in found.items()}
    slope = sum((found[name] * part).sum() for name, part in direction.items())
    return {name: slope * part for name, part in direction.items()}


def score_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return REINFORCE of one draw, of leaky neurons and logistic noise written out by hand.

    The baseline of a sample is the mean loss of the others.
    """
    seeded(network)
    inside = (torch.arange(len(batch.x))[:, None] < batch.lengths)[..., None]
    signal, total = batch.x, batch.x.new_zeros(())
    likely = []
    for layer in network.hidden_layers:
        neuron, draws, incoming = layer.neuron, layer.neuron.surrogate.generator, synapses(layer, cut=True)
        reset, threshold, beta = neuron.next_potential.reset, neuron.threshold(), neuron.beta()
        u = s = batch.x.new_zeros(batch.x.shape[1], layer.neurons)
        sent, probability = [], []
        for now in signal:
            kept = (1 - s) * u if reset == "zero" else u
            u = beta * kept + incoming(now, s) - (threshold * s if reset == "subtract" else 0)
            fires = torch.sigmoid(neuron.surrogate.firing.noise_slope * (u - threshold))
            s = (torch.rand(u.shape, generator=draws, dtype=u.dtype) < fires).to(u.dtype)
            sent.append(s)
            probability.append(torch.where(s > 0, fires, 1 - fires))
        signal = torch.stack(sent)
        likely.append((torch.stack(probability).log() * inside).sum((0, 2)))
    output = run(network.readout.neuron, signal, synapses(network.readout, cut=True))
    losses = objective.loss.each(Trajectory(output, batch.lengths, (), (), ()), batch.target)
    others = (losses.sum() - losses).detach() / (len(losses) - 1)
    total = ((losses.detach() - others) * sum(likely) + losses).mean()
    return differentiated(network, total)


def event_gradient(network: Network, batch: Batch, objective: Objective) -> Gradients:
    """Return EventProp's gradient of current-based neurons in steps: all layers of a step, from the last step back.

    By hand: a spike's delay is worth the difference of what its amplitude is worth in the next step and in its own.
    """
    chain, steps = list(network.layers), len(batch.x)
    inputs, spikes, currents = [batch.x], [], []
    for layer in chain:
        spikes.append(run(layer.neuron, inputs[-1], synapses(layer, cut=True)).detach())
        i, kept = torch.zeros_like(spikes[-1][0]), []
        for step, arriving in enumerate(inputs[-1]):
            before = spikes[-1][step - 1] if step else torch.zeros_like(i)
            i = layer.neuron.alpha() * i + synapses(layer, cut=True)(arriving, before).detach()
            kept.append(i)
        currents.append(kept)
        inputs.append(spikes[-1])
    output = spikes[-1].clone().requires_grad_()
    (error,) = torch.autograd.grad(loss_of(output, spikes[:-1], batch, objective), output)
    p, q = ([[torch.zeros_like(each[0])] * (steps + 1) for each in spikes] for _ in range(2))
    worth = [[torch.zeros_like(each[0])] * (steps + 1) for each in spikes]
    for step in range(steps - 1, -1, -1):
        inside = (batch.lengths > step)[:, None]
        for place in range(len(chain) - 1, -1, -1):
            layer, neuron = chain[place], chain[place].neuron
            beta, gain = neuron.beta(), neuron.input_gain(neuron.beta())
            total = beta * p[place][step + 1]
            if place == len(chain) - 1:
                total = total + error[step]
            else:
                worth[place][step] = q[place + 1][step] @ chain[place + 1].weight
                if layer.recurrent is not None:
                    worth[place][step] = worth[place][step] + q[place][step + 1] @ layer.recurrent
                theta, leak = neuron.threshold(), -math.log(beta)
                rising = leak * (gain * currents[place][step] / (1 - beta) - theta)
                delayed = worth[place][step + 1] - worth[place][step]
                behind = ((rising + leak * theta) * total - delayed) / rising
                total = torch.where(spikes[place][step] > 0, behind, total)
            p[place][step] = total * inside
            q[place][step] = (gain * p[place][step] + neuron.alpha() * q[place][step + 1]) * inside
            worth[place][step] = worth[place][step] * inside
    return _by_parameter(network, [torch.stack(each[:-1]) for each in q], inputs, spikes)


def _by_parameter(network: Network, slopes: list[Tensor], inputs: list[Tensor], spikes: list[Tensor]) -> Gradients:
    """Return the gradient of each parameter from that of each current [T, B, N]."""
    found: Gradients = {}
    for place, (layer, slope) in enumerate(zip(network.layers, slopes, strict=True)):
        found[f"layers.{place}.weight"] = torch.einsum("tbn,tbk->nk", slope, inputs[place].detach())
        if layer.bias is not None:
            found[f"layers.{place}.bias"] = slope.sum((0, 1))
        if layer.recurrent is not None:
            before = torch.cat([torch.zeros_like(spikes[place][:1]), spikes[place][:-1]])
            found[f"layers.{place}.recurrent"] = torch.einsum("tbn,tbk->nk", slope, before)
    return found


def seeded(network: Network) -> None:
    """Set everything that a network draws from to the start of a stream, as each epoch of a run does."""
    for place, surrogate in enumerate(surrogates(network)):
        surrogate.generator = torch.Generator().manual_seed(place)
    if network.rule_noise is not None:
        network.rule_noise.generator = torch.Generator().manual_seed(99)


REFERENCES: dict[str, Callable[[Network, Batch, Objective], Gradients]] = {
    "bptt": whole_gradient,
    "bptt_cut": cut_gradient,
    "local_autograd": local_gradient,
    "feedback_alignment": aligned_gradient,
    "direct_feedback": direct_gradient,
    "bptt_own": own_gradient,
    "projection": projected_gradient,
    "score_function": score_gradient,
    "event_adjoint": event_gradient,
}
"""What a rule's claims may name; a claim whose reference is not here fails."""
