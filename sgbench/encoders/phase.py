"""The phase encoder: the binary digits of a value, one in each phase of an oscillation."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import Encoder
from sgbench.errors import require_count


class Phase(Encoder):
    r"""Encodes a value x by its binary digits s: step k of a period has the digit of weight 2^-(k + 1).

    .. math:: x \approx \sum_{k=0}^{K-1} 2^{-(k+1)} s[k], \qquad \text{error} < 2^{-K}

    The digits repeat with period K until the last step; the value 1 is sent as 1 - 2^-K. A spike's size is its
    digit's weight, so the first layer multiplies.

    Args:
        phases: period K in steps, at most 24.

    Source: Kim, Kim, Huh, Lee & Choi 2018, Neurocomputing 311 (weighted spikes).

    >>> encoder = Phase(steps=4, dt_s=0.001, phases=4)
    >>> encoder.encode(torch.tensor([[0.6875]]), torch.Generator()).dense()[:, 0, 0].tolist()  # 0.1011 in base 2
    [0.5, 0.0, 0.125, 0.0625]
    """

    output: ClassVar[Literal["binary", "real"]] = "real"

    def __init__(self, *, steps: int, dt_s: float, phases: int) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.phases = require_count("encoder.phases", phases)
        if phases > 24:  # noqa: PLR2004 - the digits of a float32
            require_count("encoder.phases", f"{phases}, above 24")

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Encode values [B, N] as the weights of their binary digits that are 1 [T, B, N]."""
        whole = torch.floor(values * 2**self.phases).clamp_(max=2**self.phases - 1).long()
        phase = torch.arange(self.steps, device=values.device) % self.phases
        digit = (whole >> (self.phases - 1 - phase)[:, None, None]) & 1
        weight = torch.exp2(-(phase + 1.0)).to(values.dtype)
        return SparseSpikes.of(digit * weight[:, None, None])
