"""Random feedback from the output straight to each hidden layer: DFA and what it is a family of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.base import Network
from sgbench.rules.apart import Feedback, fixed_feedback, require_chain, run_apart
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.signals.trajectory import UNLABELLED, Batch, labels_inside, valid_steps

ERRORS = ("signed", "sign", "target")
TEMPORALS = ("bptt", "eprop", "none")
DEEP = ("network.hidden=[6,5]", "network.recurrence=all_to_all")


class DirectFeedback(LearningRule):
    r"""Carries an error from the output to the spikes of each hidden layer by fixed random weights B.

    .. math:: \frac{dL}{ds^l[t]} := B^{l\,\top} \delta[t], \qquad \delta = \text{readout's adjoint of } e

    and from there on each layer has its own adjoint over time; the readout learns exactly. Two choices make the
    family. The error e[t] of the outputs is

    - "signed": the loss's derivative by them (DFA),
    - "sign": its sign over the batch's and the sample's steps, B T_b (sDFA),
    - "target": minus what is wanted, a one-hot class or a trace, over B T_b; no output is needed (DRTP).

    How far credit goes back in time within a layer is

    - "bptt": over its neurons' states and its recurrence,
    - "eprop": over its neurons' states alone, as eligibility traces do (ETLP, with the target as error),
    - "none": not at all, in the readout neither: the slope in the step, times what arrives in it (eRBP).

    A penalty on activity acts on each layer's own spikes.

    Args:
        error: one of the three.
        temporal: one of the three.
        gain: of the feedback weights, in root mean squares of the readout's weights as they are drawn.

    Raises:
        InputError: layers that are no chain, a value out of range, or a network that disagrees on its recurrence.

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
        """Draw the feedback weights; they are a part of the weights file, and no parameters."""
        require_chain("direct_feedback", network)
        network.direct_feedback = Feedback(fixed_feedback(network, self.gain, generator))

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse a network that treats recurrent gradients otherwise than the rule."""
        recurrent = [layer for layer in network.hidden_layers if layer.recurrent is not None]
        wanted = self.temporal != "bptt"
        if any(layer.cut != wanted for layer in recurrent):
            raise InputError(
                f"rule.temporal={self.temporal}: decides whether gradient goes over recurrent spikes; use "
                f"network.recurrence_gradient={'cut' if wanted else 'full'}"
            )
        reason = network.needs_all_steps
        if self.temporal == "none" and reason is not None:
            raise InputError(f"rule.temporal=none: {reason}; use rule.temporal=bptt")

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count all steps as remembered; a target as the error is a neuron's own."""
        error = ("own_error",) if self.error == "target" else ("errors_of_others",)
        return Demand(
            numbers=sizes.steps * sizes.states,
            weight_products=sizes.synapses,
            error_products=sizes.straight + sizes.crossed_within,
            needs=needs(error, () if self.temporal == "none" else sizes.within_layers),  # type: ignore[arg-type]
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute the gradients of a batch and yield once."""
        apart = run_apart(network, batch, objective.keep, window=1 if self.temporal == "none" else None)
        slopes = apart.slopes(objective, batch.target)
        delta = apart.of_current(self._error(slopes.output, batch))
        apart.learn(apart.straight(delta, list(network.direct_feedback)), slopes)  # type: ignore[arg-type]
        yield Progress(slopes.loss, apart.seen)

    def _error(self, slope: Tensor, batch: Batch) -> Tensor:
        """Return the error of the outputs [T, B, C]."""
        if self.error == "signed":
            return slope
        inside = valid_steps(batch.lengths, len(slope)).to(slope)
        share = (inside / (batch.lengths * len(batch.lengths)))[..., None]
        return slope.sign() * share if self.error == "sign" else -wanted_output(batch, slope) * share


def wanted_output(batch: Batch, like: Tensor) -> Tensor:
    """Return the wanted output [T, B, C]: one-hot classes, or the target itself.

    >>> batch = Batch(torch.zeros(2, 1, 1), torch.tensor([1]), torch.tensor([2]), torch.tensor([0]))
    >>> wanted_output(batch, torch.zeros(2, 1, 3)).tolist()
    [[[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]]
    """
    target, steps, classes = batch.target, len(like), like.shape[2]
    if target.ndim == 3:  # noqa: PLR2004 - samples, steps, outputs
        return target.transpose(0, 1).to(like)
    if target.ndim == 1:
        return nn.functional.one_hot(target, classes).to(like).expand(steps, -1, -1)
    labels = labels_inside(target, batch.lengths)
    known = labels != UNLABELLED
    return (nn.functional.one_hot(labels.clamp(min=0), classes) * known[..., None]).transpose(0, 1).to(like)
