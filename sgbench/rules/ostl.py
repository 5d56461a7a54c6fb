"""Layers that learn over time by themselves, and errors that go from layer to layer within a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from sgbench.errors import InputError, require_choice
from sgbench.networks.base import Network, surrogates
from sgbench.networks.layers import Layer
from sgbench.rules.apart import require_chain, run_apart
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.forward import (
    FORMS,
    Forward,
    ReadoutTraces,
    TraceCost,
    check_forward,
    learning_signals,
    step_slopes,
    traced_forward,
)
from sgbench.signals.trajectory import Batch

RECURRENT = ("loss=per_step", "network.recurrence=all_to_all")
FORGETFUL = (*RECURRENT, "network.hidden=[6]", "readout.beta=0.0")
DEEP = (*RECURRENT, "network.hidden=[6,5]")


class Ostl(LearningRule):
    r"""Assigns credit over time within a layer, and over layers within a step; no path does both by turns.

    .. math::
        g^l[t] := W^{l+1\,\top} \Bigl(\psi^{l+1}[t] \, g^{l+1}[t]\Bigr), \qquad
        \frac{dL}{dW^l} := \sum_t g^l[t] \, \frac{d s^l[t]}{d W^l}

    with the loss's derivative by the outputs on top, and ds/dW along all paths within the layer: over its neurons'
    states, and over its recurrence unless the network cuts it. Of leaky neurons without recurrence whose reset is
    detached, ds/dW is the slope times a filtered input, and this is OTTT. With one hidden layer and a readout that
    forgets at once no path is missing and it is back-propagation; what later layers remember is what it drops.

    Two forms compute the same numbers. In "unrolled" each layer's own adjoint makes the sum, which equals that of
    influences carried forward in time, and remembers all steps. "online" carries the influences, as traces of each
    synapse; with a recurrence that is not cut they would take neurons times weights, and are refused.

    Args:
        form: one of the two; None is "unrolled".

    Raises:
        InputError: layers that are no chain, that cannot go step by step or that the form is not defined for, or
            whose neurons draw by chance.

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
        """Refuse layers that are no chain; no random numbers are drawn."""
        require_chain("ostl", network)

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse networks without a step of their own, and those that would differ when run a second time."""
        reason = network.needs_all_steps
        if reason is None and any(surrogate.stochastic for surrogate in surrogates(network)):
            reason = "its neurons draw by chance, and would draw otherwise the second time"
        if reason is not None:
            raise InputError(
                f"rule=ostl: goes from layer to layer within a step, but {reason}; use rule=bptt"
            )
        if self.form == "online":
            check_forward("ostl", network, objective)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states of all steps where unrolled, and the traces instead where online.

        Errors go back over the synapses between layers, and over recurrent ones that are not cut.
        """
        traced = TraceCost(numbers=sizes.steps * sizes.states, products=0.0)
        if self.form == "online":
            traced = traced_forward(network, sizes, kappa=0.0)
        return Demand(
            numbers=traced.numbers,
            weight_products=sizes.synapses + traced.products,
            error_products=sizes.between + sizes.crossed_within,
            needs=needs(("errors_of_others", "weights_of_others"), sizes.within_layers),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute the gradients of a batch and yield once."""
        yield (self._online if self.form == "online" else self._unrolled)(network, batch, objective)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        forward, readout = Forward(network, batch), ReadoutTraces(network)
        traces = [Eligibility(layer, 0.0) for layer in network.hidden_layers]
        total = network.readout.weight.new_zeros(())
        for span in forward.spans():
            share, slopes = step_slopes(objective.loss, span.readout.output, batch, span.first)
            total += share
            with torch.no_grad():
                readout.advance(span.hidden[-1].output, slopes)
                for index, error in enumerate(learning_signals(network, span, slopes)):
                    traces[index].advance(span.hidden[index], error)
        return Progress(total, forward.trajectory())

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        apart = run_apart(network, batch, objective.keep, by_current=False)
        slopes = apart.slopes(objective, batch.target)
        errors: list[Tensor] = []
        error, layer = slopes.output, network.readout
        for index in range(len(apart.hidden) - 1, -1, -1):
            error = sent_within_steps(network.engine, layer, apart.seen.spikes[index], error)
            errors.insert(0, error)
            layer = network.hidden_layers[index]
        apart.learn(errors, slopes)
        return Progress(slopes.loss, apart.seen)


def sent_within_steps(engine: Engine, layer: Layer, arriving: Tensor, error: Tensor) -> Tensor:
    """Propagate an error of a layer's output [T, B, N] to what arrived in the same step [T, B, K].

    Args:
        engine: that runs the layer.
        layer: that may go step by step.
        arriving: at the layer, of all steps.
        error: of its output.
    """
    leaf = arriving.detach().requires_grad_()
    (run,) = engine.unroll([layer], leaf, window=1)
    (slope,) = torch.autograd.grad(run.output, leaf, error)  # type: ignore[arg-type]
    return slope
