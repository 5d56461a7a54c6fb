"""Random feedback from the output directly to each hidden layer: DFA, sDFA, DRTP, ETLP and eRBP."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from fastspiking.signals.trajectory import UNLABELLED, Batch, labels_inside, valid_steps
from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.base import Network
from sgbench.rules.apart import Feedback, draw_direct_feedback, require_chain, run_detached
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes, needs

ERRORS = ("signed", "sign", "target")
TEMPORALS = ("bptt", "eprop", "none")
DEEP = ("network.hidden=[6,5]", "network.recurrence=all_to_all")


class DirectFeedback(LearningRule):
    r"""Carries an error from the output to the spikes of each hidden layer by fixed random weights B.

    .. math:: \frac{dL}{ds^l[t]} := B^{l\,\top} \delta[t], \qquad \delta = \text{readout's adjoint of } e

    for the loss L, spikes s of hidden layer l and delta, the error e of the outputs back-propagated to the
    readout's currents. Within a layer errors are back-propagated over time; the readout learns exactly. The error
    e[t] is

    - "signed": the derivative of the loss by the outputs (DFA),
    - "sign": the sign of that derivative, over N T_b for a batch of N samples with T_b steps (sDFA),
    - "target": minus the target (one-hot class or trace) over N T_b, without the output (DRTP).

    Within a layer errors flow back in time

    - "bptt": over its neurons' states and its recurrence,
    - "eprop": over its neurons' states alone, as with eligibility traces (ETLP if the error is the target),
    - "none": not at all, in the readout neither (eRBP).

    A penalty on activity acts on each layer's own spikes.

    Args:
        error: "signed", "sign" or "target".
        temporal: "bptt", "eprop" or "none".
        gain: standard deviation of the feedback weights over the root mean square of the readout's weights.

    Raises:
        InputError: layers that form no chain, a value out of range, or a `network.recurrence_gradient` that
            contradicts `temporal`.

    Source: Nøkland 2016, NeurIPS, arXiv:1609.01596 (DFA); Frenkel, Lefebvre & Bol 2021, Frontiers in Neuroscience
    15:629892 (sDFA, DRTP); Neftci, Augustine, Paul & Detorakis 2017, Frontiers in Neuroscience 11:324 (eRBP);
    Quintana et al. 2024, Neuromorphic Computing and Engineering 4, arXiv:2301.08281 (ETLP).
    """

    exact_reference: ClassVar[Claim] = Claim("direct_feedback", DEEP)
    must_differ_from: ClassVar[Claim] = Claim("bptt", DEEP, weights="hidden")

    def __init__(self, *, error: str, temporal: str, gain: float) -> None:
        self.error = require_choice("rule.error", error, ERRORS)
        self.temporal = require_choice("rule.temporal", temporal, TEMPORALS)
        self.gain = require_number("rule.gain", gain, low=0, open_low=True)
        if (self.error, self.temporal) == ("signed", "eprop"):
            raise InputError(
                "rule.temporal=eprop: with rule.error=signed this is e-prop with random feedback; use rule=eprop "
                "rule.feedback=random rule.form=unrolled"
            )

    def begin(self, network: Network, generator: torch.Generator) -> None:
        require_chain("direct_feedback", network)
        network.direct_feedback = Feedback(draw_direct_feedback(network, self.gain, generator))

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` if `temporal` contradicts the gradient over recurrent spikes, or the network."""
        recurrent = [layer for layer in network.hidden_layers if layer.recurrent is not None]
        needs_cut = self.temporal != "bptt"
        if any(layer.cut != needs_cut for layer in recurrent):
            raise InputError(
                f"rule.temporal={self.temporal}: decides whether gradient goes over recurrent spikes; use "
                f"network.recurrence_gradient={'cut' if needs_cut else 'full'}"
            )
        reason = network.needs_all_steps
        if self.temporal == "none" and reason is not None:
            raise InputError(f"rule.temporal=none: {reason}; use rule.temporal=bptt")

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states of all steps, and products with the direct feedback weights.

        With error="target" no error of other neurons is needed.
        """
        error = ("own_error",) if self.error == "target" else ("errors_of_others",)
        return Demand(
            numbers=sizes.steps * sizes.states,
            weight_products=sizes.synapses,
            error_products=sizes.direct + sizes.crossed_within,
            needs=needs(error, () if self.temporal == "none" else sizes.within_layers),  # type: ignore[arg-type]
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Send the outputs' error directly to each hidden layer, back-propagate within layers; yield once."""
        detached = run_detached(network, batch, objective.keep, window=1 if self.temporal == "none" else None)
        slopes = detached.slopes(objective, batch.target)
        delta = detached.to_currents(self._error(slopes.output, batch))
        detached.learn(detached.to_hidden(delta, list(network.direct_feedback)), slopes)  # type: ignore[arg-type]
        yield Progress(slopes.loss, detached.trajectory)

    def _error(self, slope: Tensor, batch: Batch) -> Tensor:
        """Return the error e of the outputs [T, B, C]; `slope` is the derivative of the loss by them."""
        if self.error == "signed":
            return slope
        inside = valid_steps(batch.lengths, len(slope)).to(slope)
        weight = (inside / (batch.lengths * len(batch.lengths)))[..., None]
        return slope.sign() * weight if self.error == "sign" else -target_output(batch, slope) * weight


def target_output(batch: Batch, like: Tensor) -> Tensor:
    """Return the target of every step [T, B, C], like the outputs `like`: one-hot classes, or target traces.

    Steps without a label are 0.

    >>> batch = Batch(torch.zeros(2, 1, 1), torch.tensor([1]), torch.tensor([2]), torch.tensor([0]))
    >>> target_output(batch, torch.zeros(2, 1, 3)).tolist()
    [[[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]]
    """
    target, steps, classes = batch.target, len(like), like.shape[2]
    if target.ndim == 3:  # noqa: PLR2004 - samples, steps, outputs
        return target.transpose(0, 1).to(like)
    if target.ndim == 1:
        return nn.functional.one_hot(target, classes).to(like).expand(steps, -1, -1)
    labels = labels_inside(target, batch.lengths)
    is_labelled = labels != UNLABELLED
    one_hot = nn.functional.one_hot(labels.clamp(min=0), classes) * is_labelled[..., None]
    return one_hot.transpose(0, 1).to(like)
