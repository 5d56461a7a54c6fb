"""A hook of the learner that does something more while it trains."""

from __future__ import annotations

from collections.abc import Callable

from sgbench.training.learner import Learner


def first_in_fit(extra: Callable[[Learner], None], method: Callable[[Learner], None]) -> Callable:
    """The method, before which `extra` is called wherever the learner is being fitted."""

    def both(self: Learner) -> None:
        if self.trainer.state.fn == "fit":
            extra(self)
        method(self)

    return both
