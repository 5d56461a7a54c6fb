"""SuperSpike: a three-factor rule that learns spike trains."""

from collections.abc import Iterator
from typing import ClassVar

import torch

from fastspiking.signals.trajectory import Batch
from sgbench.errors import InputError, require_choice
from sgbench.losses.van_rossum import VanRossum
from sgbench.networks.base import DenseLayer, Network
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.apart import Feedback, direct_weights, draw_direct_feedback, require_chain, require_cut, run_detached
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.forward import FORMS, Forward, TraceCost, check_layers, count_traces, refuse_learnt

FEEDBACKS = ("symmetric", "random", "uniform")
SPIKE_TRAINS = (
    "dataset=spike_patterns",
    "encoder=binned",
    "loss=van_rossum",
    "neuron@readout=leaky",
    "protocol.monitor=validation_loss",
)


class SuperSpike(LearningRule):
    r"""Multiplies error, surrogate slope and presynaptic trace; output errors go directly to each hidden layer.

    .. math::
        e_k[t] = \frac{\partial L}{\partial s_k[t]}
            \propto \sum_{t' \ge t} \lambda[t' - t] \, \bigl(\lambda * (s_k - \hat s_k)\bigr)[t'], \qquad
        \frac{dL}{dW^l_{ij}} := \sum_t \Bigl(\sum_k B^l_{ki} e_k[t]\Bigr) \, e_{ij}[t]

    for the van Rossum distance L of the output spikes s_k from target spikes s-hat_k, its kernel lambda, and e_ij,
    the surrogate's slope of neuron i times the filtered input of synapse j. The paper filters e_ij by the kernel
    forward in time; filtering the error backward gives the same sum. The output's own weights have their exact
    gradient. Unlike in back-propagation, the slope and membrane of the outputs do not enter the errors of hidden
    layers. Some libraries call `surrogate=fast_sigmoid` SuperSpike; rule and surrogate can be combined freely. The
    feedback B is

    - "symmetric": the readout's weights, for exactly one hidden layer;
    - "random": fixed random weights, with the root mean square of the readout's initial weights;
    - "uniform": one value for all weights, that root mean square.

    Two forms compute the same numbers. "unrolled" back-propagates within each layer on the engine, and stores all
    steps. "online" filters e_ij forward in time by the kernel's two exponentials, as the paper does.

    Args:
        feedback: "symmetric", "random" or "uniform".
        form: "unrolled" or "online"; None for "unrolled".

    Raises:
        InputError: layers that form no chain or that the form is not defined for, gradients over recurrent spikes,
            a loss that does not compare spike trains, or symmetric feedback with several hidden layers.

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
        """Draw fixed feedback weights, which are stored as buffers and never learn; "symmetric" needs none."""
        require_chain("superspike", network)
        if self.feedback == "symmetric":
            return
        drawn = draw_direct_feedback(network, 1.0, generator)
        if self.feedback == "uniform":
            size = network.readout.weight.detach().square().mean().sqrt().item()
            drawn = [torch.full_like(weight, size) for weight in drawn]
        network.direct_feedback = Feedback(drawn)

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for losses that compare no spike trains, and for unfit readouts and feedback."""
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
        """Raise an `InputError` for networks and objectives that form="online" is not defined for."""
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
        """Count the states of all steps ("unrolled"), or those of a window and two sets of traces ("online")."""
        traced = TraceCost(numbers=sizes.steps * sizes.states, products=0.0)
        if self.form == "online":
            traced = count_traces(network, sizes, filters=2, readout=True)
        weights = ("weights_of_others",) if self.feedback == "symmetric" else ()
        return Demand(
            numbers=traced.numbers,
            weight_products=sizes.synapses + traced.products,
            error_products=sizes.direct * (2 if self.form == "online" else 1),
            needs=needs(("own_trace", "errors_of_others"), weights),  # type: ignore[arg-type]
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        yield (self._online if self.form == "online" else self._unrolled)(network, batch, objective)

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        """Run forward in windows of time, and add gradients by traces for both exponentials of the kernel."""
        loss: VanRossum = objective.loss  # type: ignore[assignment]
        layers = [*network.hidden_layers, network.readout]
        traces_by_decay = [[Eligibility(layer, decay) for layer in layers] for decay in loss.decays]
        forward, state = Forward(network, batch), loss.begin(batch)
        total = network.readout.weight.new_zeros(())
        feedback = [*direct_weights(network, self.feedback), None]  # none for the readout itself
        for span in forward.spans(readout=True):
            window_loss, state, slopes = loss.window(span.readout.output, batch, span.first, state)
            total += window_loss
            windows = [*span.hidden, span.readout]
            with torch.no_grad():
                for error, traces in zip(slopes, traces_by_decay, strict=True):
                    for trace, weight, window in zip(traces, feedback, windows, strict=True):
                        trace.advance(window, error if weight is None else error @ weight)
        return Progress(total, forward.trajectory())

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        """Add to `.grad` by back-propagation within each layer, from directly fed back errors."""
        detached = run_detached(network, batch, objective.keep, by_current=False)
        slopes = detached.slopes(objective, batch.target)
        detached.learn(detached.to_hidden(slopes.output, direct_weights(network, self.feedback)), slopes)
        return Progress(slopes.loss, detached.trajectory)
