"""The interface of learning rules: add to `.grad` and yield; the training loop then clips and steps."""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch, Keep, Trajectory
from sgbench.losses.base import Loss
from sgbench.networks.base import Network
from sgbench.neurons.base import Neuron
from sgbench.regularisers.base import Regulariser
from sgbench.rules.demand import Demand, Sizes

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
"""Names a gradient that tests compute without any rule, in the order above: back-propagation through time; the same
with recurrent spikes detached; of each layer's local loss, with its input detached; with feedback weights in the
backward pass; with fixed weights from the output to each layer; by finite differences; over all spike patterns; of
one drawn pattern, by its log probability; projected on one drawn direction; with the recurrent spikes of other
neurons
detached; of spike times, by the adjoint equations of EventProp."""


@dataclass(frozen=True)
class Claim:
    """States which gradient a rule must equal, or must differ from; the contract tests check it."""

    reference: Reference  # the gradient to compare with
    # Overrides of the run in which they are compared, beside `rule=NAME`, e.g. "loss=per_step".
    overrides: tuple[str, ...] = ()
    weights: Literal["all", "hidden", "readout"] = "all"  # weights whose gradients are compared

    @property
    def words(self) -> tuple[str, ...]:
        """Return `overrides` by its old name, for one release."""
        return self.overrides


@dataclass(frozen=True)
class Objective:
    """Holds the function to minimise: the sum of a loss and a penalty on activity."""

    loss: Loss
    regulariser: Regulariser

    @property
    def keep(self) -> Keep:
        """Return the signals that a trajectory has to keep to compute the objective."""
        return self.regulariser.needs

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the sum of loss and penalty over a whole sequence, a scalar with gradient."""
        loss = self.loss.whole(trajectory, target)
        penalty = self.regulariser.penalty(trajectory)
        return loss if penalty is None else loss + penalty


class Progress(NamedTuple):
    """Reports that a rule has added the gradients of one update of the weights to `.grad`."""

    loss: Tensor  # part of the batch's loss that belongs to this update, a scalar without gradient
    trajectory: Trajectory  # of the steps run; some rules give its final state only


class LearningRule(ABC):
    """Computes gradients of a network's weights.

    A rule declares a gradient that it equals exactly, and one that it must differ from; contract tests check both.
    """

    exact_reference: ClassVar[Claim]
    must_differ_from: ClassVar[Claim]
    by_chance: ClassVar[bool] = False  # whether its gradients depend on numbers drawn while training
    requires: ClassVar[tuple[str, ...]] = ()  # overrides that every run of it needs, e.g. "firing=escape"

    def begin(self, network: Network, generator: torch.Generator) -> None:  # noqa: B027 - most need nothing
        """Add to the network what the rule needs, such as feedback weights, before training and any use of it.

        `network`: the initialised network, in float64. `generator`: random generator for the rule alone.

        Raises:
            InputError: the rule is not defined for this network.
        """

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for networks and objectives without a definition of the rule; here accept all."""
        _ = network, objective

    def demand(self, network: Network, sizes: Sizes) -> Demand | None:
        """Estimate the memory and operations that learning takes for one sample; None if the rule has no estimate.

        The neurons' own arithmetic is left out: it grows with neurons, not with synapses.

        `network`: the network of the run. `sizes`: its numbers of neurons, synapses and steps.
        """
        _ = network, sizes
        return None

    def add_rule_to_remedies(self, refusal: str) -> str:
        """Add " and rule=bptt" to those remedies in an error message that drop an override this rule requires.

        `refusal`: a one-line message with remedies after its last "use ", alternatives separated by " or ".
        """
        reason, use, remedies = refusal.rpartition("use ")
        if not use:
            return refusal
        parts = re.split(r"(,? or )", remedies)  # remedies, and the text between them
        extended = [f"{part} and rule=bptt" if self._drops_requirement(part) else part for part in parts]
        return reason + use + "".join(extended)

    composed = add_rule_to_remedies  # its old name, for one release

    def _drops_requirement(self, remedy: str) -> bool:
        """Return whether a remedy sets something that this rule requires to another value."""
        overrides = remedy.replace(",", " ").split()
        keys = tuple(override.partition("=")[0] + "=" for override in self.requires)
        return "rule=bptt" not in overrides and any(
            override.startswith(keys) and override not in self.requires for override in overrides
        )

    @abstractmethod
    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Add gradients to the `.grad` of the weights and yield, once for each update of the weights."""


def learnt_by(group: str, neuron: Neuron) -> tuple[str, str]:
    """Return the learnt parameters of a layer's neurons, and overrides that make all of them fixed.

    Both are joined by " and "; the first is empty if no parameter is learnt.

    `group`: configuration group of the neurons, "neuron" or "readout". `neuron`: the layer's neurons.

    >>> from sgbench.neurons.leaky_readout import LeakyReadout
    >>> learnt_by("readout", LeakyReadout(4, beta=0.9, learn_beta="shared"))
    ('beta', 'readout.learn_beta=none')
    """
    options = inspect.signature(type(neuron)).parameters
    names = [name for name, _ in neuron.named_parameters()]
    owners = list(dict.fromkeys(name.partition(".")[0] for name in names))  # attributes of the neuron that hold them
    overrides = {}
    for owner in owners:
        if owner == "surrogate" and "surrogate.log_stretch" in names:  # a learnt steepness
            overrides[owner] = "steepness=fixed"
        elif f"learn_{owner}" in options:
            overrides[owner] = f"{group}.learn_{owner}=none"
        elif "learn" in options:
            overrides[owner] = f"{group}.learn=none"
    remedy = " and ".join(dict.fromkeys(overrides.values())) if len(overrides) == len(owners) else "rule=bptt"
    return " and ".join(owners), remedy
