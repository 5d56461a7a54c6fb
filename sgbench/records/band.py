"""How many trainable numbers a protocol lets a method have."""

from __future__ import annotations

from sgbench.errors import InputError
from sgbench.records.spec import Method, Protocol


def outside_band(method: Method, parameters: int | None, protocol: Protocol) -> str | None:
    """Explain why a method has too few or too many parameters for a protocol, or return None where it has not.

    Baselines without spikes stand beside the methods, and are of the size that they match.
    """
    band = protocol.parameters
    if band is None or parameters is None or method.is_baseline or band[0] <= parameters <= band[1]:
        return None
    return f"parameters: {parameters:,}, {protocol.name} allows {band[0]:,} to {band[1]:,}"


def check_band(method: Method, parameters: int) -> None:
    """Refuse a network outside the band of its own protocol, before it runs.

    Raises:
        InputError: with the band and the remedy.
    """
    problem = outside_band(method, parameters, method.protocol)
    if problem is not None:
        raise InputError(
            f"{problem}; change network.hidden, or try it unranked with protocol.parameters=null"
        )
