"""Eligibility propagation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from sgbench.engine.matmul import multiply
from sgbench.errors import InputError, require_choice
from sgbench.networks.base import Network
from sgbench.rules.apart import (
    Feedback,
    fixed_feedback,
    require_chain,
    require_cut,
    run_apart,
    straight_weights,
)
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.rules.eligibility import Eligibility, Filtered, add_gradient
from sgbench.rules.forward import (
    WINDOW,
    Forward,
    ReadoutTraces,
    Span,
    TraceCost,
    check_forward,
    decay_of,
    form_and_update,
    step_slopes,
    traced_forward,
)
from sgbench.signals.trajectory import Batch

FEEDBACKS = ("symmetric", "random", "adaptive")
RECURRENT = (
    "loss=per_step",
    "network.hidden=[6]",
    "network.recurrence=all_to_all",
    "network.recurrence_gradient=cut",
)
FULL = (*RECURRENT[:-1], "network.recurrence_gradient=full")


class EProp(LearningRule):
    r"""Multiplies what each synapse did to its own neuron by the error that reaches that neuron: e-prop.

    Forward in time, each synapse carries how it moved its neuron's state z through the neuron alone:

    .. math::
        \epsilon_{ij}[t] &= \frac{\partial z_i[t]}{\partial z_i[t-1]} \epsilon_{ij}[t-1]
            + \frac{\partial z_i[t]}{\partial I_i[t]} \mathrm{pre}_j[t] \\
        e_{ij}[t] &= \partial s_i[t] / \partial W_{ij} \text{ along these paths}, \quad
            \bar e[t] = \kappa \bar e[t-1] + e[t] \\
        \frac{dL}{dW_{ij}} &= \sum_t \bar e_{ij}[t] \sum_k B_{ki} \frac{\partial \ell_t}{\partial y_k[t]}

    where pre_j is what synapse j receives, I the current, s the spikes, kappa the readout's decay, y_k its outputs,
    l_t the loss of step t and B the feedback weights.

    The local Jacobians come from the neuron's own `step`, so every elementwise neuron is covered, whatever its
    reset. What is dropped is the path over other neurons: with symmetric feedback the gradient equals that of
    back-propagation with recurrent spikes cut, and differs from the full one in a recurrent net. The feedback is

    - "symmetric": B = O, the readout's weights; there has to be exactly one hidden layer;
    - "random": fixed and drawn, from the output straight to each hidden layer;
    - "adaptive": drawn, then moved by the gradient that readout weights of that layer would have. With weight decay
      (`optimizer.weight_decay`) and one hidden layer it comes close to O.

    Two forms compute the same numbers. "online" goes forward step by step. "unrolled" filters the sum over k
    backward in time by the readout and sends it to each layer's spikes. From there it back-propagates within each
    neuron alone. It takes any loss, penalty, readout and learnt decay, but stores all steps.

    Args:
        update: "per_sequence", or "per_step" (weights move in every step, so the sum is no longer a gradient).
        feedback: one of the three; None is "symmetric".
        form: one of the two; None is "online".

    Raises:
        InputError: a value out of range, or a network, loss or penalty that the form is not defined for.

    Source: Bellec et al. 2020, Nature Communications 11:3625, equations 3, 4 and 13, and Methods (random and
    adaptive feedback).

    >>> import sgbench
    >>> sgbench.create("rule/eprop", feedback="random").feedback  # of a run: rule=eprop rule.feedback=random
    'random'
    """

    exact_reference: ClassVar[Claim] = Claim("bptt_cut", RECURRENT)
    must_differ_from: ClassVar[Claim] = Claim("bptt", RECURRENT, weights="hidden")
    requires: ClassVar[tuple[str, ...]] = ("network.recurrence_gradient=cut",)

    def __init__(self, *, update: str, feedback: str | None = None, form: str | None = None) -> None:
        self.form, self.update = form_and_update(form or "online", update)
        self.feedback = require_choice("rule.feedback", feedback or "symmetric", FEEDBACKS)

    def begin(self, network: Network, generator: torch.Generator) -> None:
        """Draw feedback weights where they are not the readout's own."""
        if self.feedback == "symmetric":
            return
        require_chain("eprop", network)
        drawn = fixed_feedback(network, 1.0, generator)
        if self.feedback == "random":
            network.direct_feedback = Feedback(drawn)
        else:
            network.adaptive_feedback = nn.ParameterList(drawn)

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse what the form is not defined for, and a network that disagrees on its recurrence."""
        if not network.spiking:
            raise InputError(
                "rule=eprop: follows spikes step by step, and the network has none; use rule=bptt"
            )
        require_chain("eprop", network)
        layers = network.hidden_layers
        require_cut("eprop", network)
        if self.feedback == "symmetric":
            if len(layers) != 1:
                raise InputError(
                    f"rule.feedback=symmetric: the readout has weights from the last of {len(layers)} hidden "
                    f"layers alone; use rule.feedback=random and rule.form=unrolled"
                )
            if network.readout.synapses() is None:
                raise InputError(
                    "rule.feedback=symmetric: what reaches the readout is pooled, dropped or delayed on its way; "
                    "use rule.feedback=random and rule.form=unrolled"
                )
        if self.form == "online":
            check_forward("eprop", network, objective, penalised=True)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count all steps as remembered where unrolled; online, the synapses' traces and one window of steps."""
        error = ("own_trace", "errors_of_others")
        weights = ("weights_of_others",) if self.feedback == "symmetric" else ()
        learnt = sizes.straight if self.feedback == "adaptive" else 0
        traced = TraceCost(numbers=0.0, products=0.0)
        if self.form == "online":
            traced = traced_forward(network, sizes, window=self._window, kappa=decay_of(network))
        return Demand(
            numbers=traced.numbers or sizes.steps * sizes.states,
            weight_products=sizes.synapses + learnt + traced.products,
            error_products=sizes.straight,
            needs=needs(error, weights),  # type: ignore[arg-type]
        )

    @property
    def _window(self) -> int:
        """Return the number of steps that are taken at once."""
        return 1 if self.update == "per_step" else WINDOW

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute gradients and yield once a batch, or once a step."""
        if self.form == "unrolled":
            yield self._unrolled(network, batch, objective)
        else:
            yield from self._online(network, batch, objective)

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        apart = run_apart(network, batch, objective.keep)
        slopes = apart.slopes(objective, batch.target)
        delta = apart.of_current(slopes.output)
        apart.learn(apart.straight(delta, straight_weights(network, self.feedback)), slopes)
        for weight, sent in zip(network.learnt_feedback, apart.seen.spikes, strict=False):
            add_gradient(weight, multiply(delta.flatten(0, 1).T, sent.detach().flatten(0, 1)))
        return Progress(slopes.loss, apart.seen)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Run forward in windows of time, and yield after each update."""
        forward, traces = Forward(network, batch), _Traces(network)
        total = network.readout.weight.new_zeros(())
        for span in forward.spans(self._window):
            feedback = straight_weights(
                network, self.feedback
            )  # which moves where it is learnt, or is the readout's
            share = traces.advance(span, feedback, objective, batch)
            total += share
            if self.update == "per_step":
                yield Progress(share, forward.trajectory())
        if self.update == "per_sequence":
            yield Progress(total, forward.trajectory())


class _Traces:
    """Holds the eligibilities of all layers, behind the readout's filter."""

    def __init__(self, network: Network) -> None:
        self.network = network
        kappa = decay_of(network)
        self.hidden = [Eligibility(layer, kappa) for layer in network.hidden_layers]
        self.sent = [Filtered(kappa) for _ in network.hidden_layers]
        self.readout = ReadoutTraces(network)

    @torch.no_grad()
    def advance(self, span: Span, feedback: list[Tensor], objective: Objective, batch: Batch) -> Tensor:
        """Add a window's share to the gradients, and return its share of the loss."""
        share, slopes = step_slopes(objective.loss, span.readout.output, batch, span.first)
        learnt = self.network.learnt_feedback
        filters = bool(learnt) or objective.regulariser.decay is not None
        for index, window in enumerate(span.hidden):
            error = slopes @ feedback[index]
            if filters:
                filtered = self.sent[index].series(window.output)
                penalty = self._penalty(filtered, objective, batch, span.first)
                if penalty is not None:
                    share, error = share + penalty[0], error + penalty[1]
            self.hidden[index].advance(window, error)
            if learnt:
                add_gradient(learnt[index], self.sent[index].paired(slopes))
        self.readout.advance(span.hidden[-1].output, slopes)
        return share

    @torch.enable_grad()
    def _penalty(
        self, filtered: Tensor, objective: Objective, batch: Batch, first: int
    ) -> tuple[Tensor, Tensor] | None:
        """Compute the share of a window in the penalty, and its slopes by filtered spikes [n, B, N]."""
        regulariser = objective.regulariser
        if regulariser.decay is None:
            return None
        leaf = filtered.detach().requires_grad_()
        total = leaf.new_zeros(())
        for step, now in enumerate(leaf.unbind(0)):
            total = total + regulariser.per_step(now, batch, first + step)
        return total.detach(), torch.autograd.grad(total, leaf)[0]
