"""Eligibility propagation (e-prop)."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from fastspiking.matmul import multiply
from fastspiking.signals.trajectory import Batch
from sgbench.errors import InputError, require_choice
from sgbench.networks.base import Network
from sgbench.rules.apart import Feedback, direct_weights, draw_direct_feedback, require_chain, require_cut, run_detached
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.rules.eligibility import Eligibility, SpikeFilter, add_gradient
from sgbench.rules.forward import (
    WINDOW,
    Forward,
    ReadoutTraces,
    Span,
    TraceCost,
    check_forward,
    count_traces,
    form_and_update,
    readout_decay,
    step_slopes,
)

FEEDBACKS = ("symmetric", "random", "adaptive")
RECURRENT = ("loss=per_step", "network.hidden=[6]", "network.recurrence=all_to_all", "network.recurrence_gradient=cut")
FULL = (*RECURRENT[:-1], "network.recurrence_gradient=full")


class EProp(LearningRule):
    r"""Multiplies each synapse's eligibility trace by the error that reaches its neuron (e-prop).

    The eligibility epsilon is the derivative of the neuron's state z by the weight, through the neuron alone:

    .. math::
        \epsilon_{ij}[t] &= \frac{\partial z_i[t]}{\partial z_i[t-1]} \epsilon_{ij}[t-1]
            + \frac{\partial z_i[t]}{\partial I_i[t]} \mathrm{pre}_j[t] \\
        e_{ij}[t] &= \partial s_i[t] / \partial W_{ij} \text{ along these paths}, \quad
            \bar e[t] = \kappa \bar e[t-1] + e[t] \\
        \frac{dL}{dW_{ij}} &= \sum_t \bar e_{ij}[t] \sum_k B_{ki} \frac{\partial \ell_t}{\partial y_k[t]}

    where pre_j is the input spike of synapse j, I the current, s the spikes, kappa the readout's decay, y_k its
    outputs, l_t the loss of step t and B the feedback weights.

    The Jacobians come from the neuron's own `step`, so every elementwise neuron is covered, with any reset. Paths
    through other neurons are dropped: with symmetric feedback the gradient equals that of back-propagation with
    recurrent spikes detached. The feedback is

    - "symmetric": B = O, the readout's weights; there has to be exactly one hidden layer;
    - "random": fixed random weights from the output directly to each hidden layer;
    - "adaptive": random, then learnt by the gradient that readout weights of that layer would have. With weight
      decay (`optimizer.weight_decay`) and one hidden layer it converges towards O.

    Two forms compute the same numbers. "online" goes forward step by step. "unrolled" sends the output error,
    filtered backward in time, to each layer's spikes and back-propagates within each neuron only. It takes any
    loss, penalty, readout and learnt decay, but stores all steps.

    Args:
        update: "per_sequence", or "per_step" (weights change in every step, so the sum is only nearly a gradient).
        feedback: "symmetric", "random" or "adaptive"; None for "symmetric".
        form: "online" or "unrolled"; None for "online".

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
        """Draw random or adaptive feedback weights and add them to the network; symmetric ones need none."""
        if self.feedback == "symmetric":
            return
        require_chain("eprop", network)
        drawn = draw_direct_feedback(network, 1.0, generator)
        if self.feedback == "random":
            network.direct_feedback = Feedback(drawn)
        else:
            network.adaptive_feedback = nn.ParameterList(drawn)

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for networks and objectives that feedback or form are not defined for."""
        if not network.spiking:
            raise InputError("rule=eprop: follows spikes step by step, and the network has none; use rule=bptt")
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
        """Count the stored states of all steps ("unrolled"), or the traces and one window of steps ("online")."""
        error = ("own_trace", "errors_of_others")
        weights = ("weights_of_others",) if self.feedback == "symmetric" else ()
        learnt = sizes.direct if self.feedback == "adaptive" else 0
        traced = TraceCost(numbers=0.0, products=0.0)
        if self.form == "online":
            traced = count_traces(network, sizes, window=self._window, kappa=readout_decay(network))
        return Demand(
            numbers=traced.numbers or sizes.steps * sizes.states,
            weight_products=sizes.synapses + learnt + traced.products,
            error_products=sizes.direct,
            needs=needs(error, weights),  # type: ignore[arg-type]
        )

    @property
    def _window(self) -> int:
        return 1 if self.update == "per_step" else WINDOW

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        if self.form == "unrolled":
            yield self._unrolled(network, batch, objective)
        else:
            yield from self._online(network, batch, objective)

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        """Add to `.grad` by back-propagation within each layer, from directly fed back errors."""
        detached = run_detached(network, batch, objective.keep)
        slopes = detached.slopes(objective, batch.target)
        delta = detached.to_currents(slopes.output)
        detached.learn(detached.to_hidden(delta, direct_weights(network, self.feedback)), slopes)
        for weight, sent in zip(network.learnt_feedback, detached.trajectory.spikes, strict=False):
            add_gradient(weight, multiply(delta.flatten(0, 1).T, sent.detach().flatten(0, 1)))
        return Progress(slopes.loss, detached.trajectory)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Run forward in windows of time, and add gradients by eligibility traces."""
        forward, traces = Forward(network, batch), _Traces(network)
        total = network.readout.weight.new_zeros(())
        for span in forward.spans(self._window):
            feedback = direct_weights(network, self.feedback)  # may have been updated since the last window
            loss = traces.advance(span, feedback, objective, batch)
            total += loss
            if self.update == "per_step":
                yield Progress(loss, forward.trajectory())
        if self.update == "per_sequence":
            yield Progress(total, forward.trajectory())


class _Traces:
    """Holds the eligibility traces of all layers, filtered by the readout's decay."""

    def __init__(self, network: Network) -> None:
        self.network = network
        kappa = readout_decay(network)
        self.hidden = [Eligibility(layer, kappa) for layer in network.hidden_layers]
        self.filters = [SpikeFilter(kappa) for _ in network.hidden_layers]
        self.readout = ReadoutTraces(network)

    @torch.no_grad()
    def advance(self, span: Span, feedback: list[Tensor], objective: Objective, batch: Batch) -> Tensor:
        """Add the gradients of a window's steps to `.grad`, and return their loss, a scalar.

        `span`: states and outputs of all layers in the window. `feedback`: feedback weights of each hidden layer [C,
        N]. `objective`: loss and penalty. `batch`: targets and lengths.
        """
        loss, slopes = step_slopes(objective.loss, span.readout.output, batch, span.first)
        learnt = self.network.learnt_feedback
        needs_filter = bool(learnt) or objective.regulariser.decay is not None
        for index, window in enumerate(span.hidden):
            error = slopes @ feedback[index]
            if needs_filter:
                filtered = self.filters[index].filter(window.output)
                penalty = self._penalty(filtered, objective, batch, span.first)
                if penalty is not None:
                    loss, error = loss + penalty[0], error + penalty[1]
            self.hidden[index].advance(window, error)
            if learnt:
                add_gradient(learnt[index], self.filters[index].gradient(slopes))
        self.readout.advance(span.hidden[-1].output, slopes)
        return loss

    @torch.enable_grad()
    def _penalty(
        self, filtered: Tensor, objective: Objective, batch: Batch, first: int
    ) -> tuple[Tensor, Tensor] | None:
        """Compute the penalty on a window's filtered spikes [n, B, N] and its slopes by them; None without one."""
        regulariser = objective.regulariser
        if regulariser.decay is None:
            return None
        leaf = filtered.detach().requires_grad_()
        total = leaf.new_zeros(())
        for index, step in enumerate(leaf.unbind(0)):
            total = total + regulariser.per_step(step, batch, first + index)
        return total.detach(), torch.autograd.grad(total, leaf)[0]
