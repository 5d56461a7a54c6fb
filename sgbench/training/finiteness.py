"""What was not finite first, remembered on an accelerator and asked for now and then."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sgbench.errors import NonFiniteError

EVERY = 200
"""Looks, two a step, after which the device is waited for: so much is trained on from a bad step at most."""


class Deferred:
    """Holds which numbers of the first bad step were not finite, without waiting for the device.

    A CPU answers at once, so there each step is checked. An accelerator would have to end all the work that it was
    given before it can answer, several times a step. Weights of the steps until it is asked are lost; nothing that
    is stored is made of them.

    >>> found = Deferred()
    >>> found.add([("loss", torch.tensor(1.0)), ("gradient", torch.tensor([0.0, torch.inf]))])
    >>> found.add([("loss", torch.tensor(torch.nan)), ("gradient", torch.tensor([0.0, 0.0]))])
    >>> found.ask()
    Traceback (most recent call last):
    ...
    sgbench.errors.NonFiniteError: gradient
    """

    def __init__(self) -> None:
        self.looks = 0  # since it was asked
        self.bad: Tensor | None = None  # whether one of them saw what is not finite
        self.first: dict[tuple[str, ...], Tensor] = {}  # by messages: NaN where the first such look saw it

    @torch.no_grad()
    def add(self, pairs: Iterable[tuple[str, Tensor]]) -> None:
        """Check the numbers of a step; pairs: (message if one of them is not finite, the numbers).

        Raises:
            NonFiniteError: it is time to ask, and there was a bad step.
        """
        said, values = zip(*pairs, strict=True)
        now = torch.stack(
            [(each * 0).sum() for each in values]
        )  # 0, or NaN where anything is NaN or infinite
        bad = now.isnan().any()
        if self.bad is not None:
            now, bad = now.masked_fill(self.bad, 0), bad | self.bad
        self.first[said], self.bad = self.first[said] + now if said in self.first else now, bad
        self.looks += 1
        if self.looks >= EVERY:
            self.ask()

    def ask(self) -> None:
        """Wait for the device, and stop if a step since the last time was not finite.

        Raises:
            NonFiniteError: with the message of the first number in the first bad step.
        """
        messages = [message for said in self.first for message in said]
        bad = torch.cat([*self.first.values()]).isnan().tolist() if self.first else []
        self.first, self.bad, self.looks = {}, None, 0
        if True in bad:
            raise NonFiniteError(messages[bad.index(True)])
