"""Back-propagation through time, full or truncated."""

from collections.abc import Iterator
from typing import ClassVar

from fastspiking.signals.spikes import windows
from fastspiking.signals.trajectory import NOTHING, Batch
from sgbench.errors import InputError, require_choice, require_count
from sgbench.losses.base import Loss
from sgbench.networks.base import Network
from sgbench.networks.spike_times import SpikeTimes
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes

UPDATES = ("per_sequence", "per_window")


class Bptt(LearningRule):
    """Propagates errors back through time, with the surrogate in place of the spike's derivative.

    With a window of K steps no gradient crosses from one window to the next: all states, and recurrent spikes, are
    detached between them. With an update per sequence the window limits only how far back in time errors reach.
    With an update per window each window learns from the loss of its own steps, and memory grows with K, not with
    the length of the sequence.

    Args:
        window: number K of steps, or None for the whole sequence.
        update: "per_sequence" or "per_window"; None for "per_sequence".

    Raises:
        InputError: a value out of range, or update="per_window" without a window, with a loss that needs the whole
            sequence, with a penalty, or in a network that cannot continue from a state.

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
        """Raise an `InputError` for a window, or updates per window, where network or loss need all steps."""
        reason = network.needs_all_steps
        if self.window is not None and reason is not None:
            raise InputError(f"rule.window={self.window}: {reason}; use rule.window=null")
        if self.update == "per_window":
            _check_per_window(network, objective)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the stored states, of all steps or of one window, and the products both passes take."""
        stored_steps = sizes.steps
        if self.update == "per_window":
            stored_steps = min(self.window or sizes.steps, sizes.steps)
        within = 0 if self.window == 1 else sizes.crossed_within
        # A network of spike times stores every spike at every synapse; each source fires once.
        arrived = sizes.synapses if isinstance(network, SpikeTimes) else 0
        return Demand(
            numbers=stored_steps * sizes.states + arrived,
            weight_products=sizes.synapses,
            error_products=sizes.between + within,
            needs=("errors_of_others", "weights_of_others", *(() if self.window == 1 else ("future",))),  # type: ignore[arg-type]
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Run all steps, or window by window, and back-propagate; yield once per update of the weights."""
        if self.update == "per_window":
            yield from self._per_window(network, batch, objective.loss)
            return
        trajectory = network.unroll(batch.x, batch.lengths, keep=objective.keep, window=self.window)
        loss = objective.whole(trajectory, batch.target)
        if loss.requires_grad:
            loss.backward()
        yield Progress(loss.detach(), trajectory)

    def _per_window(self, network: Network, batch: Batch, loss: Loss) -> Iterator[Progress]:
        """Run window by window up to the end of the longest sample, and yield after each.

        A window starts from the detached states of the one before.
        """
        steps, size, state = int(batch.lengths.max()), self.window or 1, None  # None: the state at rest
        for number, window in enumerate(windows(batch.x, size)):
            first = number * size
            if first >= steps:
                return
            remaining = (batch.lengths - first).clamp(min=0, max=window.shape[0])
            trajectory = network.unroll(window, remaining, state, NOTHING)
            window_loss = trajectory.output.new_zeros(())
            for step, output in enumerate(trajectory.output.unbind(0), start=first):
                window_loss = window_loss + loss.per_step(output, batch, step, None)[0]
            if window_loss.requires_grad:
                window_loss.backward()
            state = tuple(type(layer)(*(field.detach() for field in layer)) for layer in trajectory.state)
            yield Progress(window_loss.detach(), trajectory)


def _check_per_window(network: Network, objective: Objective) -> None:
    """Raise an `InputError` where a window cannot be learnt from without the steps behind it."""
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
