"""Losses of each layer's own, through fixed random readouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sgbench.engine.layer import LayerRun
from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.base import Network, surrogates
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer, sent_back
from sgbench.networks.walk import walk
from sgbench.neurons.base import Neuron
from sgbench.rules.apart import require_chain
from sgbench.rules.base import Claim, LearningRule, Objective, Progress, learnt_by
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.forward import (
    CONVOLVED_WINDOW,
    WINDOW,
    Forward,
    ReadoutTraces,
    TraceCost,
    check_forward,
    decay_of,
    form_and_update,
    step_slopes,
    traced_forward,
)
from sgbench.signals.spikes import Signal
from sgbench.signals.trajectory import POTENTIAL, SPIKES, Batch, Trajectory

READOUTS = ("learnt", "fixed")


class Local(LearningRule):
    r"""Trains every hidden layer by a readout of its own with fixed random weights; nothing reaches lower layers.

    .. math:: y^l = r(G^l s^l), \qquad
        \frac{dL}{dW^l} := \frac{d}{dW^l} \ell(y^l) \text{ with } s^{l-1} \text{ taken as given}

    with the network's own readout units r, the same loss for each layer, and G ~ N(0, gain^2 / n). The network's
    readout learns from the last hidden layer's spikes, which it takes as given. Within a layer gradient flows over
    time; with `neuron.reset_gradient=detached`, no recurrence, readout units that forget at once and a loss in each
    step, that is the paper's product of an error, the surrogate's slope and a filtered input (tested), which needs
    no memory of the past. Local losses begin after a burn-in, in which states settle: what was sent before
    counts as a trace, not as an answer. The network's own readout learns from all steps.

    Two forms compute the same numbers. "unrolled" runs each layer's adjoint on the engine and remembers all steps.
    "online" goes forward in time with traces of each synapse, after the local readout's filter. After a readout
    that forgets at once (`readout.beta=0`), and in front of neurons of one decay, the traces are of what
    arrives, as many as there are neurons; then layers may be convolutions too. Online, weights may move in every
    step, as the paper's do, by the gradient of that step's losses.

    Args:
        gain: standard deviation of a local readout's current for input of unit power.
        burn_in_s: duration of the burn-in [s]; None is none.
        form: one of the two; None is "unrolled".
        update: "per_sequence", or "per_step" with the form "online"; None is "per_sequence".
        readout: "learnt", or "fixed": the network answers by the local readout of its last hidden layer, whose
            fixed weights its own readout gets; None is "learnt".
        dt_s: duration of a step [s].

    Raises:
        InputError: layers that are no chain or that the form is not defined for, readout units that learn or take
            several currents, a fixed readout of what is pooled, a gain or a burn-in that is not above 0, or a
            sample that ends within the burn-in.

    Source: Kaiser, Mostafa & Neftci 2020, Frontiers in Neuroscience 14:424 (DECOLLE).

    >>> import sgbench
    >>> sgbench.create("rule/local", form="online").form  # of a run: rule=local rule.form=online
    'online'
    """

    exact_reference: ClassVar[Claim] = Claim("local_autograd", ("network.hidden=[6,5]",))
    must_differ_from: ClassVar[Claim] = Claim("bptt", ("network.hidden=[6,5]",), weights="hidden")

    def __init__(
        self,
        *,
        gain: float,
        burn_in_s: float | None = None,
        form: str | None = None,
        update: str | None = None,
        readout: str | None = None,
        dt_s: float = 0.001,
    ) -> None:
        self.gain = require_number("rule.gain", gain, low=0, open_low=True)
        self.form, self.update = form_and_update(form or "unrolled", update or "per_sequence")
        self.readout = require_choice("rule.readout", readout or "learnt", READOUTS)
        self.burn_in_s = burn_in_s
        self.burn_in_steps = 0
        if burn_in_s is not None:
            burn_in_s = require_number("rule.burn_in_s", burn_in_s, low=0, open_low=True)
            self.burn_in_steps = max(1, round(burn_in_s / dt_s))

    def begin(self, network: Network, generator: torch.Generator) -> None:
        """Draw the readouts; they are a part of the weights file, and no parameters."""
        require_chain("local", network)
        neuron = network.readout.neuron
        classes = network.readout.neurons
        network.local_readouts = nn.ModuleList(
            LocalReadout(layer.name, self._drawn(classes, layer.neurons, generator), neuron)
            for layer in network.hidden_layers
        )
        if self.readout == "fixed":
            _answer_locally(network)

    def _drawn(self, classes: int, neurons: int, generator: torch.Generator) -> Tensor:
        normal = torch.randn(classes, neurons, generator=generator, dtype=torch.float64)
        return self.gain * neurons**-0.5 * normal

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse readout units of several currents or with learnt numbers, since all layers share these units."""
        neuron = network.readout.neuron
        if neuron.currents > 1:
            raise InputError(
                f"rule=local: a local readout has one current a unit, but {type(neuron).__name__} takes several; "
                f"use neuron@readout=leaky_readout"
            )
        learnt, remedy = learnt_by("readout", neuron)
        if learnt:
            raise InputError(
                f"rule=local: the readout's units serve every layer, so their {learnt} cannot learn; use {remedy}"
            )
        if self.form == "online":
            check_forward("local", network, objective, convolved=True)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count all steps as remembered, local readouts' too, whose weights are crossed there and back."""
        readout = sizes.readout
        local = len(sizes.hidden) * readout.neurons * readout.states
        traced, held = TraceCost(numbers=sizes.steps * sizes.states, products=0.0), sizes.steps
        if self.form == "online":
            held = min(self._window(network), sizes.steps)
            traced = traced_forward(network, sizes, window=held, kappa=decay_of(network))
        return Demand(
            numbers=traced.numbers + held * local,
            weight_products=sizes.synapses + traced.products,
            error_products=2 * sizes.straight + sizes.crossed_within,
            needs=needs(("own_error",), sizes.within_layers),
        )

    def _window(self, network: Network) -> int:
        """Return the number of steps that are taken at once."""
        if self.update == "per_step":
            return 1
        shared = any(isinstance(layer, ConvLayer) for layer in network.hidden_layers)
        return CONVOLVED_WINDOW if shared else WINDOW

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute gradients from local losses and yield once an update, with the loss of the network's readout."""
        if self.form == "online":
            yield from self._online(network, batch, objective)
        else:
            yield self._unrolled(network, batch, objective)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        forward, readout = Forward(network, batch), ReadoutTraces(network)
        total, after_burn_in = network.readout.weight.new_zeros(()), self._after_burn_in(batch)
        readouts: list[LocalReadout] = list(network.local_readouts)  # type: ignore[arg-type]
        traces = [Eligibility(layer, decay_of(network)) for layer in network.hidden_layers]
        states: list[Any] = [None] * len(readouts)
        for span in forward.spans(self._window(network)):
            share, slopes = step_slopes(objective.loss, span.readout.output, batch, span.first)
            total += share
            with torch.no_grad():
                readout.advance(span.hidden[-1].output, slopes)
            for index, (local, window) in enumerate(zip(readouts, span.hidden, strict=True)):
                local_run = walk(local, window.output, states[index], jacobians=False)  # type: ignore[arg-type]
                states[index] = local_run.state
                _, error = step_slopes(
                    objective.loss, local_run.output, after_burn_in, span.first - self.burn_in_steps
                )
                with torch.no_grad():
                    traces[index].advance(window, error @ local.weight)
            if self.update == "per_step":
                yield Progress(share, forward.trajectory())
        if self.update == "per_sequence":
            yield Progress(total, forward.trajectory())

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        """Run each layer in one chain with its readout, the last layer's with the network's own beside it."""
        network.begin_pass(batch.lengths, batch.x.shape[0])
        engine, potentials = network.engine, POTENTIAL in objective.keep
        *before, last = zip(network.hidden_layers, network.local_readouts, strict=True)  # type: ignore[arg-type]
        signal, runs, losses = batch.x, [], []
        for layer, local in before:
            run, local_run = engine.unroll([layer, local], signal, keep_u=potentials)
            sent: Tensor = run.output  # type: ignore[assignment]
            losses.append(self._loss_behind_burn_in(local_run.output, batch, objective))  # type: ignore[arg-type]
            signal = sent.detach()
            runs.append(run)
        run, local_run, own = _both_readouts(network, last, signal, objective)
        losses.append(self._loss_behind_burn_in(local_run, batch, objective))
        trajectory = _trajectory(batch, [*runs, run, own], list(network.layers))
        loss = objective.whole(trajectory, batch.target)
        torch.stack([loss, *losses]).sum().backward()
        return Progress(loss.detach(), trajectory)

    def _loss_behind_burn_in(self, output: Tensor, batch: Batch, objective: Objective) -> Tensor:
        """Compute a local loss of a readout's output [T, B, C], from the end of the burn-in on."""
        after_burn_in = self._after_burn_in(batch)
        local_run = Trajectory(output[self.burn_in_steps :], after_burn_in.lengths, (), (), ())
        return objective.loss.whole(local_run, after_burn_in.target)

    def _after_burn_in(self, batch: Batch) -> Batch:
        """Shift lengths, and targets of single steps, to after the burn-in."""
        first, target = self.burn_in_steps, batch.target
        if first == 0:
            return batch
        shortest = int(batch.lengths.min())
        if shortest <= first:
            raise InputError(
                f"rule.burn_in_s={self.burn_in_s:g}: a sample of {shortest} steps ends within a burn-in of {first} "
                f"steps; use rule.burn_in_s=null"
            )
        return batch._replace(
            lengths=batch.lengths - first, target=target if target.ndim == 1 else target[:, first:]
        )


def _answer_locally(network: Network) -> None:
    """Give the network's readout the fixed weights of the last local one."""
    fixed: Tensor = network.local_readouts[-1].weight  # type: ignore[index, union-attr, assignment]
    if network.readout.weight.shape != fixed.shape:
        raise InputError(
            "rule.readout=fixed: what the readout hears is pooled on its way; leave the last layer out of "
            "network.pooled_layers or use rule.readout=learnt"
        )
    with torch.no_grad():
        network.readout.weight.copy_(fixed)
    network.readout.requires_grad_(False)


def _both_readouts(
    network: Network, last: tuple[Layer, LocalReadout], signal: Signal, objective: Objective
) -> tuple[LayerRun, Tensor, LayerRun]:
    """Run the last hidden layer with both readouts: its run, the local output, and the run of the network's own.

    Where they can be joined, both readouts are one layer of twice the units, so that spikes are gone through once.
    """
    layer, local = last
    engine, keep = network.engine, objective.keep
    potentials = POTENTIAL in keep
    if not JoinedReadouts.covers(network.readout):
        run, local_run = engine.unroll([layer, local], signal, keep_u=potentials)
        (own,) = engine.unroll([network.readout], run.output.detach(), keep_u=potentials)  # type: ignore[union-attr]
        return run, local_run.output, own  # type: ignore[return-value]
    joined = JoinedReadouts(network.readout, local)
    run, both = engine.unroll([layer, joined], signal, keep_u=potentials, keep_spikes=SPIKES in keep)
    own, local_run = joined.split(both)
    return run, local_run.output, own  # type: ignore[return-value]


def _trajectory(batch: Batch, runs: Sequence[LayerRun], layers: Sequence[Any]) -> Trajectory:
    """Build the trajectory that losses and penalties read: last output, these layers' spikes and potentials."""
    fires = [layer.neuron.output == "binary" for layer in layers]
    return Trajectory(
        output=runs[-1].output,  # type: ignore[arg-type]
        lengths=batch.lengths,
        spikes=tuple(
            run.output for run, one in zip(runs, fires, strict=True) if one and run.output is not None
        ),
        u=tuple(run.u for run in runs if run.u is not None),
        state=tuple(run.state for run in runs),
    )


class LocalReadout(nn.Module):
    """Holds fixed weights from one hidden layer to a readout with the same units as the network's own.

    Args:
        name: of the hidden layer.
        weight: [C, N].
        neuron: of the network's readout, which stays its owner.
    """

    weight: Tensor
    recurrence = "none"
    recurrent = None
    cut = False

    def __init__(self, name: str, weight: Tensor, neuron: Neuron) -> None:
        super().__init__()
        self.name = f"{name}_local"
        self.register_buffer("weight", weight)
        self._owner = (neuron,)  # in a tuple, so that it is not registered a second time

    @property
    def neuron(self) -> Neuron:
        """Return the neuron model that the readout integrates with."""
        return self._owner[0]

    def synapses(self) -> tuple[Tensor, None]:
        """Return the weights, and no bias."""
        return self.weight, None

    def current(self, x: Tensor) -> Tensor:
        """Compute the weights times spikes, of any number of leading dimensions."""
        return nn.functional.linear(x, self.weight)

    def feedback(self, s: Tensor) -> Tensor:
        """Return zeros, since a local readout has no recurrence."""
        return torch.zeros_like(s)


class JoinedReadouts:
    """Joins the network's readout and a local one as one layer; the local one alone sends back.

    Args:
        readout: the network's, which `covers` has seen.
        local: the last hidden layer's.
    """

    recurrence = "none"
    recurrent = None
    cut = False

    def __init__(self, readout: Layer, local: LocalReadout) -> None:
        self.name = readout.name
        self.neuron = readout.neuron
        self.units = readout.neurons
        own, bias = readout.synapses()  # type: ignore[misc]
        self.weight = torch.cat([own, local.weight])
        self.bias = None if bias is None else torch.cat([bias, torch.zeros_like(bias)])
        self.feedback_weight = torch.cat([torch.zeros_like(local.weight), local.weight])

    @staticmethod
    def covers(readout: Layer) -> bool:
        """Return whether units of any number are those of the readout: none has its own number or draw."""
        neuron = readout.neuron
        fixed = not [*neuron.buffers()] and not any(surrogate.stochastic for surrogate in surrogates(neuron))
        return fixed and readout.synapses() is not None and not neuron.sees_all_steps

    def synapses(self) -> tuple[Tensor, Tensor | None]:
        """Return both weights, one below the other, and biases."""
        return self.weight, self.bias

    def current(self, x: Tensor) -> Tensor:
        """Compute the weights times spikes, of any number of leading dimensions."""
        value = nn.functional.linear(x.detach(), self.weight, self.bias)
        if not x.requires_grad:
            return value
        return sent_back(value, x, lambda x: nn.functional.linear(x, self.feedback_weight))

    def feedback(self, s: Tensor) -> Tensor:
        """Return zeros, since a local readout has no recurrence."""
        return torch.zeros_like(s)

    def split(self, both: LayerRun) -> tuple[LayerRun, LayerRun]:
        """Return the scores of the network's own readout and of the local ones."""
        runs = []
        for units in (slice(0, self.units), slice(self.units, None)):
            output, u = (None if values is None else values[..., units] for values in (both.output, both.u))
            runs.append(LayerRun(output, u, type(both.state)(*(field[..., units] for field in both.state))))
        return runs[0], runs[1]
