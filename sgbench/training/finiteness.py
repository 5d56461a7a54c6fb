"""Deferred checks on an accelerator that numbers of training steps are finite."""

from collections.abc import Iterable

import torch
from torch import Tensor

from sgbench.errors import NonFiniteError

EVERY = 200
"""Checks, two per step, after which the host waits for the device; training goes on so long after a bad step."""


class Deferred:
    """Records which numbers of the first bad step were NaN or infinite, without waiting for the device.

    On a CPU each step is checked at once. On an accelerator the host would have to wait for all queued work at each
    check. So results stay on the device until `ask` reads them. Training after a bad step is lost, but nothing is
    stored before `ask`.

    >>> found = Deferred()
    >>> found.add([("loss", torch.tensor(1.0)), ("gradient", torch.tensor([0.0, torch.inf]))])
    >>> found.add([("loss", torch.tensor(torch.nan)), ("gradient", torch.tensor([0.0, 0.0]))])
    >>> found.ask()
    Traceback (most recent call last):
    ...
    sgbench.errors.NonFiniteError: gradient
    """

    def __init__(self) -> None:
        self.checks = 0  # since `ask`
        self.bad: Tensor | None = None  # whether one of them failed, a boolean on the device
        # Maps the messages of a kind of check to one number each, NaN where the first failed check found it.
        self.first: dict[tuple[str, ...], Tensor] = {}

    @torch.no_grad()
    def add(self, pairs: Iterable[tuple[str, Tensor]]) -> None:
        messages, values = zip(*pairs, strict=True)
        found = torch.stack([(each * 0).sum() for each in values])  # 0, or NaN if a number is not finite
        bad = found.isnan().any()
        if self.bad is not None:  # only the first failed check counts
            found, bad = found.masked_fill(self.bad, 0), bad | self.bad
        self.first[messages] = self.first[messages] + found if messages in self.first else found
        self.bad = bad
        self.checks += 1
        if self.checks >= EVERY:
            self.ask()

    def ask(self) -> None:
        """Wait for the device, and raise an error if a check since the last call failed."""
        messages = [message for group in self.first for message in group]
        bad = torch.cat([*self.first.values()]).isnan().tolist() if self.first else []
        self.first, self.bad, self.checks = {}, None, 0
        if True in bad:
            raise NonFiniteError(messages[bad.index(True)])
