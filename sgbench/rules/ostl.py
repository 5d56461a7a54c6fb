"""Exact gradients over time within each layer, and errors between layers within a step (OSTL, OTTT)."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.errors import InputError, require_choice
from sgbench.networks.base import Network, surrogates
from sgbench.networks.layers import Layer
from sgbench.rules.apart import require_chain, run_detached
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.forward import (
    FORMS,
    Forward,
    ReadoutTraces,
    TraceCost,
    check_forward,
    count_traces,
    learning_signals,
    step_slopes,
)

RECURRENT = ("loss=per_step", "network.recurrence=all_to_all")
FORGETFUL = (*RECURRENT, "network.hidden=[6]", "readout.beta=0.0")
DEEP = (*RECURRENT, "network.hidden=[6,5]")


class Ostl(LearningRule):
    r"""Computes exact gradients over time within a layer, and sends errors between layers within a step only.

    .. math::
        g^l[t] := W^{l+1\,\top} \Bigl(\psi^{l+1}[t] \, g^{l+1}[t]\Bigr), \qquad
        \frac{dL}{dW^l} := \sum_t g^l[t] \, \frac{d s^l[t]}{d W^l}

    for the spikes s, weights W and surrogate slopes psi of layer l. g of the readout is the derivative of the loss
    by the outputs. ds/dW follows all paths within the layer: over its neurons' states, and over its recurrence
    unless its gradient is cut. For leaky neurons with a detached reset and no recurrence it is the slope times a
    filtered input (OTTT). The rule drops paths through states of later layers; with one hidden layer and
    `readout.beta=0` there are none, and it equals back-propagation.

    Two forms compute the same numbers. "unrolled" back-propagates over time within each layer, and stores all
    steps. "online" carries eligibility traces of each synapse forward in time; it refuses a recurrence that is not
    cut, whose traces would be neurons times weights.

    Args:
        form: "unrolled" or "online"; None for "unrolled".

    Raises:
        InputError: layers that form no chain, that cannot run step by step or that the form is not defined for, or
            that draw random spikes.

    Source: Bohnstingl, Wozniak, Pantazi & Eleftheriou 2023, IEEE TNNLS 34(11), arXiv:2007.12723 (OSTL); Xiao et al.
    2022, NeurIPS, arXiv:2210.04195 (OTTT).

    >>> import sgbench
    >>> sgbench.create("rule/ostl", form="online").form  # of a run: rule=ostl rule.form=online
    'online'
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", FORGETFUL)
    must_differ_from: ClassVar[Claim] = Claim("bptt", DEEP, weights="hidden")

    def __init__(self, *, form: str | None = None) -> None:
        self.form = require_choice("rule.form", form or "unrolled", FORMS)

    def begin(self, network: Network, generator: torch.Generator) -> None:
        require_chain("ostl", network)

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for networks that cannot run a second time step by step, to send errors back."""
        reason = network.needs_all_steps
        if reason is None and any(surrogate.stochastic for surrogate in surrogates(network)):
            reason = "its neurons draw by chance, and would draw otherwise the second time"
        if reason is not None:
            raise InputError(f"rule=ostl: goes from layer to layer within a step, but {reason}; use rule=bptt")
        if self.form == "online":
            check_forward("ostl", network, objective)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states of all steps ("unrolled"), or those of a window and the traces ("online")."""
        traced = TraceCost(numbers=sizes.steps * sizes.states, products=0.0)
        if self.form == "online":
            traced = count_traces(network, sizes, kappa=0.0)
        return Demand(
            numbers=traced.numbers,
            weight_products=sizes.synapses + traced.products,
            error_products=sizes.between + sizes.crossed_within,
            needs=needs(("errors_of_others", "weights_of_others"), sizes.within_layers),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        yield (self._online if self.form == "online" else self._unrolled)(network, batch, objective)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        """Run forward in windows of time, and add gradients by eligibility traces."""
        forward, readout = Forward(network, batch), ReadoutTraces(network)
        traces = [Eligibility(layer, 0.0) for layer in network.hidden_layers]
        total = network.readout.weight.new_zeros(())
        for span in forward.spans():
            loss, slopes = step_slopes(objective.loss, span.readout.output, batch, span.first)
            total += loss
            with torch.no_grad():
                readout.advance(span.hidden[-1].output, slopes)
                for index, error in enumerate(learning_signals(network, span, slopes)):
                    traces[index].advance(span.hidden[index], error)
        return Progress(total, forward.trajectory())

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        """Send the error from layer to layer within steps, the last first; then back-propagate within each layer."""
        detached = run_detached(network, batch, objective.keep, by_current=False)
        slopes = detached.slopes(objective, batch.target)
        errors: list[Tensor] = []
        error, layer = slopes.output, network.readout
        for index in range(len(detached.hidden) - 1, -1, -1):
            error = propagate_within_steps(network.engine, layer, detached.trajectory.spikes[index], error)
            errors.insert(0, error)
            layer = network.hidden_layers[index]
        detached.learn(errors, slopes)
        return Progress(slopes.loss, detached.trajectory)


def propagate_within_steps(engine: Engine, layer: Layer, arriving: Tensor, error: Tensor) -> Tensor:
    """Propagate an error of a layer's output back to its input of the same step [T, B, K].

    `engine`: runs the layer. `layer`: a layer that can run step by step. `arriving`: input of the layer in all steps
    [T, B, K]. `error`: error of its output [T, B, N].
    """
    leaf = arriving.detach().requires_grad_()
    (run,) = engine.unroll([layer], leaf, window=1)
    (slope,) = torch.autograd.grad(run.output, leaf, error)  # type: ignore[arg-type]
    return slope
