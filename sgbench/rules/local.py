"""Local losses of each layer, through fixed random readouts (DECOLLE)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fastspiking.layer import LayerRun
from fastspiking.signals.spikes import Signal
from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch, Trajectory
from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.base import Network, surrogates
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer, with_backward_of
from sgbench.networks.walk import walk
from sgbench.neurons.base import Neuron
from sgbench.rules.apart import NonRecurrent, require_chain
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
    count_traces,
    form_and_update,
    readout_decay,
    step_slopes,
)

READOUTS = ("learnt", "fixed")


class Local(LearningRule):
    r"""Trains each hidden layer by its own loss, through a local readout with fixed random weights (DECOLLE).

    .. math:: y^l = r(G^l s^l), \qquad
        \frac{dL}{dW^l} := \frac{d}{dW^l} \ell(y^l) \text{ with } s^{l-1} \text{ detached}

    for the spikes s and weights W of layer l, the units r of the network's readout, the loss l of the run, and G ~
    N(0, gain^2 / n) for n neurons. No gradient reaches lower layers; the network's readout learns from the detached
    spikes of the last hidden layer. Within a layer gradients flow over time. With `neuron.reset_gradient=detached`,
    no recurrence, `readout.beta=0` and a loss in each step, this is the paper's product of an error, the
    surrogate's slope and a filtered input (tested). Local losses count steps after a burn-in only, in which states
    reach their working range; the network's own readout learns from all steps.

    Two forms compute the same numbers. "unrolled" back-propagates within each layer on the engine and stores all
    steps. "online" goes forward in time with eligibility traces, filtered by the local readout. With
    `readout.beta=0`, and neurons that all filter alike, there is one trace per presynaptic signal; then layers may
    be convolutions too. Online, weights may be updated in every step by the gradient of that step's losses, as in
    the paper.

    Args:
        gain: standard deviation of a local readout's current for input of unit power, above 0.
        burn_in_s: duration of the burn-in [s]; None for none.
        form: "unrolled" or "online"; None for "unrolled".
        update: "per_sequence", or "per_step" with form="online"; None for "per_sequence".
        readout: "learnt", or "fixed" (the network's readout gets the fixed weights of the last local readout); None
            for "learnt".
        dt_s: duration of a step [s].

    Raises:
        InputError: layers that form no chain or that the form is not defined for, readout units with learnt
            parameters or several currents, a fixed readout after pooling, a gain or a burn-in that is not above 0,
            or a sample that ends within the burn-in.

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
        require_chain("local", network)
        neuron = network.readout.neuron
        classes = network.readout.neurons
        network.local_readouts = nn.ModuleList(
            LocalReadout(layer.name, self._draw(classes, layer.neurons, generator), neuron)
            for layer in network.hidden_layers
        )
        if self.readout == "fixed":
            _copy_last_local_readout(network)

    def _draw(self, classes: int, neurons: int, generator: torch.Generator) -> Tensor:
        """Draw the weights of one local readout [classes, neurons], float64."""
        normal = torch.randn(classes, neurons, generator=generator, dtype=torch.float64)
        return self.gain * neurons**-0.5 * normal

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for readout units that cannot serve every layer, or that "online" cannot run."""
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
        """Count the states of all steps ("unrolled") or of a window with traces ("online"), with local readouts.

        Each weight of a local readout costs a product in the forward and one in the backward pass.
        """
        readout = sizes.readout
        local_states = len(sizes.hidden) * readout.neurons * readout.states
        traced, stored_steps = TraceCost(numbers=sizes.steps * sizes.states, products=0.0), sizes.steps
        if self.form == "online":
            stored_steps = min(self._window(network), sizes.steps)
            traced = count_traces(network, sizes, window=stored_steps, kappa=readout_decay(network))
        return Demand(
            numbers=traced.numbers + stored_steps * local_states,
            weight_products=sizes.synapses + traced.products,
            error_products=2 * sizes.direct + sizes.crossed_within,
            needs=needs(("own_error",), sizes.within_layers),
        )

    def _window(self, network: Network) -> int:
        """Return the number of steps in a window of the online form."""
        if self.update == "per_step":
            return 1
        shared = any(isinstance(layer, ConvLayer) for layer in network.hidden_layers)
        return CONVOLVED_WINDOW if shared else WINDOW

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute gradients from local losses; yield once per update, with the loss of the network's readout."""
        if self.form == "online":
            yield from self._online(network, batch, objective)
        else:
            yield self._unrolled(network, batch, objective)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Run forward in windows of time; errors of the local losses are learning signals of eligibility traces."""
        forward, readout = Forward(network, batch), ReadoutTraces(network)
        total, after_burn_in = network.readout.weight.new_zeros(()), self._after_burn_in(batch)
        readouts: list[LocalReadout] = list(network.local_readouts)  # type: ignore[arg-type]
        traces = [Eligibility(layer, readout_decay(network)) for layer in network.hidden_layers]
        states: list[Any] = [None] * len(readouts)
        for span in forward.spans(self._window(network)):
            loss, slopes = step_slopes(objective.loss, span.readout.output, batch, span.first)
            total += loss
            with torch.no_grad():
                readout.advance(span.hidden[-1].output, slopes)
            for index, (local, window) in enumerate(zip(readouts, span.hidden, strict=True)):
                local_run = walk(local, window.output, states[index], jacobians=False)  # type: ignore[arg-type]
                states[index] = local_run.state
                _, error = step_slopes(objective.loss, local_run.output, after_burn_in, span.first - self.burn_in_steps)
                with torch.no_grad():
                    traces[index].advance(window, error @ local.weight)
            if self.update == "per_step":
                yield Progress(loss, forward.trajectory())
        if self.update == "per_sequence":
            yield Progress(total, forward.trajectory())

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        """Run layer by layer over all steps, each on the detached spikes of the one before, and back-propagate."""
        network.begin_pass(batch.lengths, batch.x.shape[0])
        engine, potentials = network.engine, POTENTIAL in objective.keep
        *before, last = zip(network.hidden_layers, network.local_readouts, strict=True)  # type: ignore[arg-type]
        signal, runs, losses = batch.x, [], []
        for layer, local in before:
            run, local_run = engine.unroll([layer, local], signal, keep_u=potentials)
            losses.append(self._loss_after_burn_in(local_run.output, batch, objective))  # type: ignore[arg-type]
            signal = run.output.detach()  # type: ignore[union-attr]
            runs.append(run)
        run, local_output, readout_run = _run_with_both_readouts(network, last, signal, objective)
        losses.append(self._loss_after_burn_in(local_output, batch, objective))
        trajectory = _trajectory(batch, [*runs, run, readout_run], list(network.layers))
        loss = objective.whole(trajectory, batch.target)
        torch.stack([loss, *losses]).sum().backward()
        return Progress(loss.detach(), trajectory)

    def _loss_after_burn_in(self, output: Tensor, batch: Batch, objective: Objective) -> Tensor:
        """Compute the loss of a local readout's output [T, B, C] without the steps of the burn-in."""
        after_burn_in = self._after_burn_in(batch)
        trajectory = Trajectory(
            output=output[self.burn_in_steps :], lengths=after_burn_in.lengths, spikes=(), u=(), state=()
        )
        return objective.loss.whole(trajectory, after_burn_in.target)

    def _after_burn_in(self, batch: Batch) -> Batch:
        """Return the batch with lengths and targets counted from the end of the burn-in."""
        first, target = self.burn_in_steps, batch.target
        if first == 0:
            return batch
        shortest = int(batch.lengths.min())
        if shortest <= first:
            raise InputError(
                f"rule.burn_in_s={self.burn_in_s:g}: a sample of {shortest} steps ends within a burn-in of {first} "
                f"steps; use rule.burn_in_s=null"
            )
        return batch._replace(lengths=batch.lengths - first, target=target if target.ndim == 1 else target[:, first:])


def _copy_last_local_readout(network: Network) -> None:
    """Give the network's readout the weights of the last local readout, which do not learn."""
    fixed: Tensor = network.local_readouts[-1].weight  # type: ignore[index, union-attr, assignment]
    if network.readout.weight.shape != fixed.shape:
        raise InputError(
            "rule.readout=fixed: what the readout hears is pooled on its way; leave the last layer out of "
            "network.pooled_layers or use rule.readout=learnt"
        )
    with torch.no_grad():
        network.readout.weight.copy_(fixed)
    network.readout.requires_grad_(False)


def _run_with_both_readouts(
    network: Network, last: tuple[Layer, LocalReadout], signal: Signal, objective: Objective
) -> tuple[LayerRun, Tensor, LayerRun]:
    """Run the last hidden layer with its local readout and the network's readout.

    If possible both readouts run as one layer of twice the units, so that spikes are read once.

    Returns:
        The layer's run, the local readout's output [T, B, C], and the run of the network's readout.
    """
    layer, local = last
    engine, keep = network.engine, objective.keep
    potentials = POTENTIAL in keep
    if not JoinedReadouts.covers(network.readout):
        run, local_run = engine.unroll([layer, local], signal, keep_u=potentials)
        (readout_run,) = engine.unroll([network.readout], run.output.detach(), keep_u=potentials)  # type: ignore[union-attr]
        return run, local_run.output, readout_run  # type: ignore[return-value]
    joined = JoinedReadouts(network.readout, local)
    run, both = engine.unroll([layer, joined], signal, keep_u=potentials, keep_spikes=SPIKES in keep)
    readout_run, local_run = joined.split(both)
    return run, local_run.output, readout_run  # type: ignore[return-value]


def _trajectory(batch: Batch, runs: Sequence[LayerRun], layers: Sequence[Any]) -> Trajectory:
    """Build the trajectory of all layers' runs, from which losses and penalties are computed."""
    fires = [layer.neuron.output == "binary" for layer in layers]
    return Trajectory(
        output=runs[-1].output,  # type: ignore[arg-type]
        lengths=batch.lengths,
        spikes=tuple(run.output for run, spikes in zip(runs, fires, strict=True) if spikes and run.output is not None),
        u=tuple(run.u for run in runs if run.u is not None),
        state=tuple(run.state for run in runs),
    )


class LocalReadout(NonRecurrent, nn.Module):
    """Holds a local readout: fixed weights from one hidden layer to units of the kind of the network's readout.

    `name`: name of the hidden layer. `weight`: fixed weights [C, N]. `neuron`: units of the network's readout, which
    remain registered there alone.
    """

    weight: Tensor

    def __init__(self, name: str, weight: Tensor, neuron: Neuron) -> None:
        super().__init__()
        self.name = f"{name}_local"
        self.register_buffer("weight", weight)
        self._neuron = (neuron,)  # in a tuple, so that torch does not register it here too

    @property
    def neuron(self) -> Neuron:
        """Return the readout's units."""
        return self._neuron[0]

    def synapses(self) -> tuple[Tensor, None]:
        """Return the weights, and None for the bias."""
        return self.weight, None

    def current(self, x: Tensor) -> Tensor:
        """Compute the currents [..., C] from spikes x [..., N]."""
        return nn.functional.linear(x, self.weight)


class JoinedReadouts(NonRecurrent):
    """Joins the network's readout and a local readout to one layer; only the local one sends gradients back.

    `readout`: the network's readout, for which `covers` is true. `local`: local readout of the last hidden layer.
    """

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
        """Return whether the readout can be joined: plain weights, and units that are equal and not random."""
        neuron = readout.neuron
        fixed = not [*neuron.buffers()] and not any(surrogate.stochastic for surrogate in surrogates(neuron))
        return fixed and readout.synapses() is not None and not neuron.sees_all_steps

    def synapses(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights [2 C, N] and biases [2 C] (or None) of both readouts, the network's first."""
        return self.weight, self.bias

    def current(self, x: Tensor) -> Tensor:
        """Compute the currents [..., 2 C] from spikes x [..., N]."""
        value = nn.functional.linear(x.detach(), self.weight, self.bias)
        if not x.requires_grad:
            return value
        return with_backward_of(value, x, lambda x: nn.functional.linear(x, self.feedback_weight))

    def split(self, both: LayerRun) -> tuple[LayerRun, LayerRun]:
        """Split the joint run into those of the network's readout and of the local one, in that order."""
        runs = []
        for units in (slice(0, self.units), slice(self.units, None)):
            output, u = (None if values is None else values[..., units] for values in (both.output, both.u))
            state = type(both.state)(*(field[..., units] for field in both.state))
            runs.append(LayerRun(output, u, state))
        return runs[0], runs[1]
