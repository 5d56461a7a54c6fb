"""The contract of a learning rule: fill `.grad` and yield; the learner clips and steps."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.losses.base import Loss
from sgbench.networks.base import Network
from sgbench.neurons.base import Neuron
from sgbench.regularisers.base import Regulariser
from sgbench.rules.demand import Demand, Sizes
from sgbench.signals.trajectory import Batch, Keep, Trajectory

Reference = Literal[
    "bptt",
    "bptt_cut",
    "local_autograd",
    "feedback_alignment",
    "direct_feedback",
    "finite_difference",
    "enumeration",
    "score_function",
    "projection",
    "bptt_own",
    "event_adjoint",
]
"""A gradient that comes from no rule: of the whole loss; the same with recurrent spikes cut; of each layer's
loss with what arrives taken as given; with feedback weights on the way back; with fixed weights straight from the
output; by differences; over all spike patterns; of one drawn pattern, by how likely it was; of the whole loss,
projected on one drawn direction; of the whole loss with the recurrent spikes of other neurons cut; of
spike times, by the adjoint of the network between steps."""


@dataclass(frozen=True)
class Claim:
    """States which gradient a rule must equal or differ from, under which overrides and weights; it is tested."""

    reference: Reference  # the gradient to compare with
    # What a run needs beside `rule=NAME` for the comparison, e.g. "loss=per_step".
    words: tuple[str, ...] = ()
    weights: Literal["all", "hidden", "readout"] = "all"  # "all", "hidden" (of hidden layers) or "readout"


@dataclass(frozen=True)
class Objective:
    """Holds what is minimised: a loss and a penalty on activity."""

    loss: Loss
    regulariser: Regulariser

    @property
    def keep(self) -> Keep:
        """Return which parts of a trajectory have to be stored to compute the objective."""
        return self.regulariser.needs

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Add loss and penalty to a scalar with gradient."""
        loss = self.loss.whole(trajectory, target)
        penalty = self.regulariser.penalty(trajectory)
        return loss if penalty is None else loss + penalty


class Progress(NamedTuple):
    """Reports that a rule has stored the gradients of one update of the weights."""

    loss: Tensor  # this yield's share of the batch's loss, a scalar without gradient
    trajectory: Trajectory  # what was run, at least its final state


class LearningRule(ABC):
    """Computes gradients of a network's weights.

    A rule declares the computation that it equals exactly, and one that it must not equal, each with the overrides
    of a run in which this shows; the contract tests run both.
    """

    exact_reference: ClassVar[Claim]
    must_differ_from: ClassVar[Claim]
    by_chance: ClassVar[bool] = (
        False  # whether what it computes depends on numbers that are drawn while training
    )
    requires: ClassVar[
        tuple[str, ...]
    ] = ()  # overrides of a run that it cannot do without, e.g. "firing=escape"

    def begin(self, network: Network, generator: torch.Generator) -> None:  # noqa: B027 - most need nothing
        """Add to the network what the rule needs, such as feedback weights, before anything else reads the network.

        Args:
            network: in float64.
            generator: of the initialisation's stream, the rule's own.

        Raises:
            InputError: the network cannot have it.
        """

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse networks and objectives for which the rule is not defined.

        Raises:
            InputError: names the option and the remedy.
        """
        _ = network, objective  # a rule without conditions accepts all

    def demand(self, network: Network, sizes: Sizes) -> Demand | None:
        """Estimate memory and operations that learning takes in this network; None where the rule does not say.

        Neurons' own arithmetic is left out: it grows with neurons, not with synapses.

        Args:
            network: of the run.
            sizes: of it.
        """
        _ = network, sizes  # a rule of a user's own need not say
        return None

    def composed(self, refusal: str) -> str:
        """Add back-propagation to each remedy of a refusal that would take from this rule what it requires.

        Args:
            refusal: one line whose remedies stand after its last "use", alternatives after "or".
        """
        reason, use, remedies = refusal.rpartition("use ")
        if not use:
            return refusal
        parts = re.split(r"(,? or )", remedies)
        return (
            reason
            + use
            + "".join(f"{part} and rule=bptt" if self._drops_requirement(part) else part for part in parts)
        )

    def _drops_requirement(self, remedy: str) -> bool:
        """Return whether overrides set what this rule requires to another value."""
        overrides = remedy.replace(",", " ").split()
        keys = tuple(override.partition("=")[0] + "=" for override in self.requires)
        return "rule=bptt" not in overrides and any(
            override.startswith(keys) and override not in self.requires for override in overrides
        )

    @abstractmethod
    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Add to the `.grad` of the weights and yield, once a batch or once an update."""


def learnt_by(group: str, neuron: Neuron) -> tuple[str, str]:
    """Return which numbers of a layer's neurons learn, and overrides with which none does; empty where none does.

    Args:
        group: of the neurons, "neuron" or "readout".
        neuron: of the layer.

    >>> from sgbench.neurons.leaky_readout import LeakyReadout
    >>> learnt_by("readout", LeakyReadout(4, beta=0.9, learn_beta="shared"))
    ('beta', 'readout.learn_beta=none')
    """
    options = inspect.signature(type(neuron)).parameters
    names = [name for name, _ in neuron.named_parameters()]
    heads = list(dict.fromkeys(name.partition(".")[0] for name in names))
    overrides = {}
    for head in heads:
        if head == "surrogate" and "surrogate.log_stretch" in names:
            overrides[head] = "steepness=fixed"
        elif f"learn_{head}" in options:
            overrides[head] = f"{group}.learn_{head}=none"
        elif "learn" in options:
            overrides[head] = f"{group}.learn=none"
    remedy = " and ".join(dict.fromkeys(overrides.values())) if len(overrides) == len(heads) else "rule=bptt"
    return " and ".join(heads), remedy
