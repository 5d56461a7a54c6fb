"""SuperSpike: three factors that learn spike trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch

from sgbench.errors import InputError, require_choice
from sgbench.losses.van_rossum import VanRossum
from sgbench.networks.base import DenseLayer, Network
from sgbench.regularisers.none import NoPenalty
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
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.forward import FORMS, Forward, TraceCost, check_layers, refuse_learnt, traced_forward
from sgbench.signals.trajectory import Batch

FEEDBACKS = ("symmetric", "random", "uniform")
SPIKE_TRAINS = (
    "dataset=spike_patterns",
    "encoder=binned",
    "loss=van_rossum",
    "neuron@readout=leaky",
    "protocol.monitor=validation_loss",
)


class SuperSpike(LearningRule):
    r"""Multiplies error, slope and presynaptic trace; output errors go straight to each hidden layer.

    .. math::
        e_k[t] = \frac{\partial L}{\partial s_k[t]}
            \propto \sum_{t' \ge t} \lambda[t' - t] \, \bigl(\lambda * (s_k - \hat s_k)\bigr)[t'], \qquad
        \frac{dL}{dW^l_{ij}} := \sum_t \Bigl(\sum_k B^l_{ki} e_k[t]\Bigr) \, e_{ij}[t]

    with the van Rossum distance as L and, in e_ij, the surrogate's slope times the neuron's filter of what arrived.
    The paper filters e_ij by the kernel forward in time; filtering the error by it back in time is the same sum.
    The output's own weights have their exact gradient. The output's slope and membrane are no part of what hidden
    layers get, which distinguishes this rule from back-propagation. Some libraries call `surrogate=fast_sigmoid`
    SuperSpike: that is a slope, this is a rule, and each goes with any of the other. B is

    - "symmetric": the readout's weights, which one hidden layer has;
    - "random": fixed and drawn, as large as the readout's weights are when they are drawn;
    - "uniform": the same for all, as large as those.

    Two forms compute the same numbers. In "unrolled" each layer's own adjoint runs on the engine, and all steps are
    remembered. "online" filters e_ij forward in time by the kernel's two exponentials, as the paper does.

    Args:
        feedback: one of the three.
        form: one of the two; None is "unrolled".

    Raises:
        InputError: layers that are no chain or that the form is not defined for, a network that sends gradient over
            recurrent spikes, a loss that does not compare spike trains, or symmetric feedback to several layers.

    Source: Zenke & Ganguli 2018, Neural Computation 30(6), equations 2.3 to 2.10 and section 2.2.

    >>> import sgbench
    >>> sgbench.create("rule/superspike").feedback  # of a run: rule=superspike
    'random'
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", SPIKE_TRAINS, weights="readout")
    must_differ_from: ClassVar[Claim] = Claim("bptt", SPIKE_TRAINS, weights="hidden")
    requires: ClassVar[tuple[str, ...]] = ("network.recurrence_gradient=cut",)

    def __init__(self, *, feedback: str, form: str | None = None) -> None:
        self.feedback = require_choice("rule.feedback", feedback, FEEDBACKS)
        self.form = require_choice("rule.form", form or "unrolled", FORMS)

    def begin(self, network: Network, generator: torch.Generator) -> None:
        """Create the fixed feedback weights, which are a part of the weights file and no parameters."""
        require_chain("superspike", network)
        if self.feedback == "symmetric":
            return
        drawn = fixed_feedback(network, 1.0, generator)
        if self.feedback == "uniform":
            size = network.readout.weight.detach().square().mean().sqrt().item()
            drawn = [torch.full_like(weight, size) for weight in drawn]
        network.direct_feedback = Feedback(drawn)

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse objectives without spike trains to compare, and a network that disagrees on its recurrence."""
        if "spikes" not in objective.loss.targets:
            raise InputError(
                "rule=superspike: learns spike trains, and the loss compares something else; use rule=bptt"
            )
        require_cut("superspike", network)
        if network.readout.neuron.currents > 1:
            raise InputError(
                f"rule=superspike: an output has one current, but {type(network.readout.neuron).__name__} takes "
                f"several; use neuron@readout=leaky"
            )
        if self.form == "online":
            self._check_online(network, objective)
        if self.feedback != "symmetric":
            return
        if len(network.hidden_layers) != 1 or network.readout.synapses() is None:
            raise InputError(
                "rule.feedback=symmetric: the readout has weights from one hidden layer alone, and needs it to "
                "arrive as it was sent; use rule.feedback=random"
            )

    @staticmethod
    def _check_online(network: Network, objective: Objective) -> None:
        check_layers("superspike", network, "rule.form=unrolled")
        refuse_learnt("superspike", "readout", network.readout, "rule.form=unrolled")
        if not isinstance(network.readout, DenseLayer) or not isinstance(objective.loss, VanRossum):
            raise InputError(
                "rule=superspike: forward in time needs dense weights to the outputs and loss=van_rossum; use "
                "rule.form=unrolled"
            )
        if not isinstance(objective.regulariser, NoPenalty):
            raise InputError(
                "rule=superspike: forward in time knows no penalty on activity; use regulariser=none or "
                "rule.form=unrolled"
            )

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count all steps as remembered where unrolled, online two traces a synapse; outputs alone send errors."""
        traced = TraceCost(numbers=sizes.steps * sizes.states, products=0.0)
        if self.form == "online":
            traced = traced_forward(network, sizes, filters=2, readout=True)
        weights = ("weights_of_others",) if self.feedback == "symmetric" else ()
        return Demand(
            numbers=traced.numbers,
            weight_products=sizes.synapses + traced.products,
            error_products=sizes.straight * (2 if self.form == "online" else 1),
            needs=needs(("own_trace", "errors_of_others"), weights),  # type: ignore[arg-type]
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute the gradients of a batch and yield once."""
        yield (self._online if self.form == "online" else self._unrolled)(network, batch, objective)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        loss: VanRossum = objective.loss  # type: ignore[assignment]
        layers = [*network.hidden_layers, network.readout]
        filters = [[Eligibility(layer, decay) for layer in layers] for decay in loss.decays]
        forward, state = Forward(network, batch), loss.begin(batch)
        total = network.readout.weight.new_zeros(())
        carried = [*straight_weights(network, self.feedback), None]
        for span in forward.spans(readout=True):
            share, state, slopes = loss.window(span.readout.output, batch, span.first, state)
            total += share
            with torch.no_grad():
                for error, traces in zip(slopes, filters, strict=True):
                    for trace, weight, window in zip(
                        traces, carried, [*span.hidden, span.readout], strict=True
                    ):
                        trace.advance(window, error if weight is None else error @ weight)
        return Progress(total, forward.trajectory())

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        apart = run_apart(network, batch, objective.keep, by_current=False)
        slopes = apart.slopes(objective, batch.target)
        apart.learn(apart.straight(slopes.output, straight_weights(network, self.feedback)), slopes)
        return Progress(slopes.loss, apart.seen)
