"""Back-propagation through time, full or truncated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from sgbench.errors import InputError, require_choice, require_count
from sgbench.losses.base import Loss
from sgbench.networks.base import Network
from sgbench.networks.spike_times import SpikeTimes
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.signals.spikes import windows
from sgbench.signals.trajectory import NOTHING, Batch

UPDATES = ("per_sequence", "per_window")


class Bptt(LearningRule):
    """Propagates errors back through time with the surrogate in place of the spike's derivative.

    With a window of K steps no gradient crosses from one window to the next: every state, recurrent spikes
    included, is cut at the border. Weights are updated once a sequence; then the window limits how far credit
    reaches, not the memory that is used. With an update per window each window learns from its own steps' shares of
    the loss as soon as it is over, and memory goes with K, whatever the length of the sequence.

    Args:
        window: K steps, or None for the whole sequence.
        update: "per_sequence" or "per_window"; None is "per_sequence".

    Raises:
        InputError: a value out of range, an update per window without one, or with a loss that does not split into
            steps, a penalty or a network that cannot go on from a state.

    Source: Neftci, Mostafa & Zenke 2019, section III; Williams & Peng 1990, Neural Computation 2(4).

    >>> import sgbench
    >>> sgbench.create("rule/bptt", window=10).window  # of a run: rule=bptt rule.window=10
    10
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", ("network.recurrence=all_to_all",))
    must_differ_from: ClassVar[Claim] = Claim("bptt", ("network.recurrence=all_to_all", "rule.window=2"))

    def __init__(self, *, window: int | None, update: str | None = None) -> None:
        self.window = None if window is None else require_count("rule.window", window)
        self.update = require_choice("rule.update", update or "per_sequence", UPDATES)
        if self.update == "per_window" and window is None:
            raise InputError("rule.update=per_window: of how many steps is a window? use rule.window=10")

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse a window in a network that cannot go on from a state."""
        reason = network.needs_all_steps
        if self.window is not None and reason is not None:
            raise InputError(f"rule.window={self.window}: {reason}; use rule.window=null")
        if self.update == "per_window":
            _check_per_window(network, objective)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count what back-propagation stores: each step, or those of a window, or each arriving spike."""
        remembered = (
            min(self.window or sizes.steps, sizes.steps) if self.update == "per_window" else sizes.steps
        )
        within = 0 if self.window == 1 else sizes.crossed_within
        arrived = sizes.synapses if isinstance(network, SpikeTimes) else 0  # where each source fires once
        return Demand(
            numbers=remembered * sizes.states + arrived,
            weight_products=sizes.synapses,
            error_products=sizes.between + within,
            needs=("errors_of_others", "weights_of_others", *(() if self.window == 1 else ("future",))),  # type: ignore[arg-type]
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute gradients and yield once a batch, or once a window."""
        if self.update == "per_window":
            yield from self._per_window(network, batch, objective.loss)
            return
        trajectory = network.unroll(batch.x, batch.lengths, keep=objective.keep, window=self.window)
        loss = objective.whole(trajectory, batch.target)
        if loss.requires_grad:
            loss.backward()
        yield Progress(loss.detach(), trajectory)

    def _per_window(self, network: Network, batch: Batch, loss: Loss) -> Iterator[Progress]:
        """Start each window from the last one's states, up to the longest sample's end, and yield after each."""
        steps, size, state = int(batch.lengths.max()), self.window or 1, None
        for number, window in enumerate(windows(batch.x, size)):
            first = number * size
            if first >= steps:
                return
            left = (batch.lengths - first).clamp(min=0, max=window.shape[0])
            trajectory = network.unroll(window, left, state, NOTHING)
            share = trajectory.output.new_zeros(())
            for step, now in enumerate(trajectory.output.unbind(0), start=first):
                share = share + loss.per_step(now, batch, step, None)[0]
            if share.requires_grad:
                share.backward()
            state = tuple(type(one)(*(field.detach() for field in one)) for one in trajectory.state)
            yield Progress(share.detach(), trajectory)


def _check_per_window(network: Network, objective: Objective) -> None:
    """Refuse losses, penalties and networks that need more of a sequence than one window."""
    if not objective.loss.online or objective.loss.remembers:
        remedy = "loss=per_step" if "class" in objective.loss.targets else "rule.update=null"
        raise InputError(f"rule.update=per_window: needs a loss in every step; use {remedy}")
    if not isinstance(objective.regulariser, NoPenalty):
        raise InputError(
            "rule.update=per_window: knows no penalty on activity; use regulariser=none or rule.update=null"
        )
    if any(layer.normaliser is not None for layer in network.hidden_layers):
        raise InputError(
            "rule.update=per_window: a normalisation looks at all steps; use normalisation=none or rule.update=null"
        )
