"""Eligibility propagation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError, require_choice
from sgbench.networks.base import DenseLayer, Network
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Claim, LearningRule, Objective, Progress, learnt_by
from sgbench.signals.spikes import dense
from sgbench.signals.trajectory import Batch, Trajectory

UPDATES = ("per_sequence", "per_step")
READOUT = "neuron@readout=leaky_readout"
RECURRENT = ("loss=per_step", "network.hidden=[6]", "network.recurrence=all_to_all")


class EProp(LearningRule):
    r"""Eligibility propagation with symmetric feedback, for one hidden layer and a leaky readout.

    Forward in time, each synapse carries how it moved its neuron's state z through the neuron alone:

    .. math::
        \epsilon_{ij}[t] &= \frac{\partial z_i[t]}{\partial z_i[t-1]} \epsilon_{ij}[t-1]
            + \frac{\partial z_i[t]}{\partial I_i[t]} \mathrm{pre}_j[t] \\
        e_{ij}[t] &= \partial s_i[t] / \partial W_{ij} \text{ along these paths}, \quad
            \bar e[t] = \kappa \bar e[t-1] + e[t] \\
        \frac{dL}{dW_{ij}} &= \sum_t \bar e_{ij}[t] \sum_k O_{ki} \frac{\partial \ell_t}{\partial y_k[t]}

    The local Jacobians come from the neuron's own `step`, so every elementwise neuron is covered, whatever its
    reset. What is dropped is the path over other neurons: the gradient equals that of back-propagation with
    recurrent spikes cut (`network.recurrence_gradient=cut`), and differs from the full one in a recurrent net.

    Args:
        update: "per_sequence", or "per_step" (weights move in every step, so the sum is no longer a gradient).

    Source: Bellec et al. 2020, Nature Communications 11:3625, equations 3, 4 and 13.
    """

    exact_reference: ClassVar[Claim] = Claim("bptt_cut", RECURRENT)
    must_differ_from: ClassVar[Claim] = Claim("bptt", RECURRENT, weights="hidden")

    def __init__(self, *, update: str) -> None:
        self.update = require_choice("rule.update", update, UPDATES)

    def check(self, network: Network, objective: Objective) -> None:
        """One dense spiking layer, a leaky readout with fixed decay, fixed neurons, a loss per step, no penalty."""
        self._check_network(network)
        units = network.readout.neuron
        if not objective.loss.online:
            # Of spikes as target no loss has a share in every step.
            classes = "class" in objective.loss.targets
            readout = "" if isinstance(units, LeakyReadout) else f" and {READOUT}"
            remedy = f"loss=per_step{readout}" if classes else "rule=bptt"
            raise InputError(f"rule=eprop: needs a loss in every step; use {remedy}")
        if not isinstance(objective.regulariser, NoPenalty):
            raise InputError("rule=eprop: knows no penalty on activity; use regulariser=none")
        if not isinstance(units, LeakyReadout):
            raise InputError(f"rule=eprop: needs a leaky readout; use {READOUT}")
        if units.input_gain.kind != "one" or units.beta.spread is not None:
            raise InputError(
                "rule=eprop: needs one decay and no gain in the readout; use readout.input_gain=one and a single "
                "readout.beta"
            )
        for group, layer in (("neuron", network.hidden_layers[0]), ("readout", network.readout)):
            learnt, words = learnt_by(group, layer.neuron)
            if learnt:
                raise InputError(
                    f"rule=eprop: trains weights only, but layer {layer.name} learns {learnt}; use {words}"
                )

    def _check_network(self, network: Network) -> None:
        """One layer of dense synapses that goes step by step, each synapse onto one current."""
        if not network.spiking:
            raise InputError("rule=eprop: follows spikes, and the network has none; use rule=bptt")
        if network.needs_all_steps is not None:
            raise InputError(f"rule=eprop: goes step by step, but {network.needs_all_steps}; use rule=bptt")
        layers = network.hidden_layers
        if len(layers) != 1 or not isinstance(layers[0], DenseLayer):
            what = (
                f"{len(layers)} hidden layers"
                if len(layers) != 1
                else f"layer '{layers[0].name}' is not dense"
            )
            raise InputError(
                f"rule=eprop: {what}; it is defined here for one dense layer; use network=mlp and "
                f"network.hidden=[64]"
            )
        neuron = layers[0].neuron
        if neuron.currents > 1 or type(neuron).driven is not Neuron.driven:
            raise InputError(
                f"rule=eprop: every synapse moves the one current of its neuron, but {type(neuron).__name__} takes "
                f"several; use rule=bptt"
            )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """One yield a batch, or one a step."""
        hidden, readout = network.hidden_layers[0], network.readout
        kappa = readout.neuron.beta()  # type: ignore[operator]
        inputs = dense(batch.x)
        with torch.no_grad():
            now = _Now.start(hidden, readout, inputs[0])
        total = inputs.new_zeros(())
        # Not behind the longest sample: an update there has no gradient, but an optimiser's momentum would move.
        for step, x in enumerate(inputs[: int(batch.lengths.max())]):
            with torch.no_grad():
                now = now.advance(hidden, readout, x, kappa)
            output = now.output.u.detach().requires_grad_()
            share, _ = objective.loss.per_step(output, batch, step, None)
            (signal,) = torch.autograd.grad(share, output)
            with torch.no_grad():
                now.accumulate(hidden, readout, signal)
            total += share.detach()
            if self.update == "per_step":
                yield Progress(share.detach(), now.trajectory(batch))
        if self.update == "per_sequence":
            yield Progress(total, now.trajectory(batch))


class _Trace(NamedTuple):
    """Eligibilities of one group of synapses [B, N, P]."""

    fields: tuple[Tensor, ...]  # one per field of the neuron's state
    filtered: Tensor  # of the spikes, by the readout's decay

    @staticmethod
    def zeros(fields: int, shape: tuple[int, int, int], like: Tensor) -> _Trace:
        empty = like.new_zeros(shape)
        return _Trace((empty,) * fields, empty)

    def advance(self, local: _Local, pre: Tensor, kappa: float | Tensor) -> _Trace:
        """`pre` broadcasts to [B, N, P]."""
        fields = []
        for drive, row in zip(local.by_current, local.by_state, strict=True):
            moved = torch.zeros_like(self.filtered)
            if drive is not None:
                moved += drive[..., None] * pre
            for slope, before in zip(row, self.fields, strict=True):
                if slope is not None:
                    moved.addcmul_(slope[..., None], before)
            fields.append(moved)
        return _Trace(tuple(fields), kappa * self.filtered + fields[local.spike_field])


class _Local(NamedTuple):
    """One step of a neuron and its Jacobians, which are diagonal because the step is elementwise."""

    state: Any
    by_current: tuple[Tensor | None, ...]  # d field / d current
    by_state: tuple[tuple[Tensor | None, ...], ...]  # d field / d previous field
    spike_field: int

    @staticmethod
    def of(neuron: Neuron, current: Tensor, state: Any) -> _Local:
        with torch.enable_grad():
            leaf = current.detach().requires_grad_()
            before = type(state)(*(field.detach().requires_grad_() for field in state))
            _, after = neuron.step(leaf, before)
            rows = [
                torch.autograd.grad(field.sum(), (leaf, *before), retain_graph=True, allow_unused=True)
                if field.requires_grad
                else (None,) * (1 + len(before))
                for field in after
            ]
        detached = type(after)(*(field.detach() for field in after))
        return _Local(
            detached,
            tuple(row[0] for row in rows),
            tuple(tuple(row[1:]) for row in rows),
            after._fields.index("s"),
        )


class _Now(NamedTuple):
    """Everything that is carried from step to step."""

    hidden: Any  # state of the hidden layer
    output: Any  # state of the readout
    dense: _Trace  # of inputs, bias and all-to-all recurrence, side by side
    paired: _Trace | None  # of one-to-one recurrence
    presynaptic: Tensor  # [B, N + 1] hidden spikes and a constant 1, filtered by the readout's decay

    @staticmethod
    def start(hidden: DenseLayer, readout: DenseLayer, x: Tensor) -> _Now:
        rest = hidden.neuron.initial_state(hidden.current(x))
        output = readout.neuron.initial_state(readout.current(rest.s))
        batch, count = rest.s.shape
        columns = x.shape[1] + 1 + (count if hidden.recurrence == "all_to_all" else 0)
        paired = hidden.recurrence == "one_to_one"
        return _Now(
            rest,
            output,
            _Trace.zeros(len(rest), (batch, count, columns), x),
            _Trace.zeros(len(rest), (batch, count, 1), x) if paired else None,
            x.new_zeros(batch, count + 1),
        )

    def advance(self, hidden: DenseLayer, readout: DenseLayer, x: Tensor, kappa: float | Tensor) -> _Now:
        """One step of the network and of all traces."""
        spikes = self.hidden.s
        current = hidden.current(x) + (hidden.feedback(spikes) if hidden.recurrent is not None else 0)
        local = _Local.of(hidden.neuron, current, self.hidden)
        one = x.new_ones(len(x), 1)
        pre = torch.cat([x, one, spikes] if hidden.recurrence == "all_to_all" else [x, one], 1)
        _, output = readout.neuron.step(readout.current(local.state.s), self.output)
        return _Now(
            local.state,
            output,
            self.dense.advance(local, pre[:, None, :], kappa),
            None if self.paired is None else self.paired.advance(local, spikes[..., None], kappa),
            kappa * self.presynaptic + torch.cat([local.state.s, one], 1),
        )

    def accumulate(self, hidden: DenseLayer, readout: DenseLayer, signal: Tensor) -> None:
        """Add this step's products of learning signal and eligibility to the gradients."""
        learning = signal @ readout.weight
        dense = torch.einsum("bn,bnp->np", learning, self.dense.filtered)
        inputs = hidden.weight.shape[1]
        _add(hidden.weight, dense[:, :inputs])
        _add(hidden.bias, dense[:, inputs])
        if self.paired is not None:
            _add(hidden.recurrent, torch.einsum("bn,bnp->n", learning, self.paired.filtered))
        else:
            _add(hidden.recurrent, dense[:, inputs + 1 :])
        outer = signal.T @ self.presynaptic
        _add(readout.weight, outer[:, :-1])
        _add(readout.bias, outer[:, -1])

    def trajectory(self, batch: Batch) -> Trajectory:
        """Its final state, for the check that all is finite."""
        return Trajectory(self.output.u[None], batch.lengths, (), (), (self.hidden, self.output))


def _add(parameter: Tensor | None, gradient: Tensor) -> None:
    if parameter is not None:
        parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient
