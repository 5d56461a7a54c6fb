"""Back-propagation through time, full or truncated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from sgbench.errors import InputError, require_count
from sgbench.networks.base import Network
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.signals.trajectory import Batch


class Bptt(LearningRule):
    """Back-propagation through time with the surrogate in place of the spike's derivative.

    With a window of K steps no gradient crosses from one window to the next: every state, recurrent spikes
    included, is cut at the border. Weights are updated once a sequence. The window limits how far credit
    reaches, not the memory that is used.

    Args:
        window: K steps, or None for the whole sequence.

    Source: Neftci, Mostafa & Zenke 2019, section III; Williams & Peng 1990, Neural Computation 2(4).
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", ("network.recurrence=all_to_all",))
    must_differ_from: ClassVar[Claim] = Claim("bptt", ("network.recurrence=all_to_all", "rule.window=2"))

    def __init__(self, *, window: int | None) -> None:
        self.window = None if window is None else require_count("rule.window", window)

    def check(self, network: Network, objective: Objective) -> None:
        """A window needs a network that can go on from a state."""
        reason = network.needs_all_steps
        if self.window is not None and reason is not None:
            raise InputError(f"rule.window={self.window}: {reason}; use rule.window=null")

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """All steps are remembered; within one step no error goes over recurrence."""
        within = 0 if self.window == 1 else sizes.crossed_within
        return Demand(
            numbers=sizes.steps * sizes.states,
            weight_products=sizes.synapses,
            error_products=sizes.between + within,
            needs=("errors_of_others", "weights_of_others", *(() if self.window == 1 else ("future",))),  # type: ignore[arg-type]
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """One yield a batch."""
        trajectory = network.unroll(batch.x, batch.lengths, keep=objective.keep, window=self.window)
        loss = objective.whole(trajectory, batch.target)
        if loss.requires_grad:
            loss.backward()
        yield Progress(loss.detach(), trajectory)
