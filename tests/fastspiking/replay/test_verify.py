"""What counts as rounding between a network and its replay."""

from __future__ import annotations

import pytest
import torch

from fastspiking.replay.verify import difference


@pytest.mark.parametrize(("dtype", "rounds", "differs"), [(torch.float32, 1e-6, 1e-4), (torch.float64, 1e-12, 1e-9)])
def test_a_replay_is_held_to_the_rounding_of_its_type(dtype: torch.dtype, rounds: float, differs: float) -> None:
    """Expected: what single and double precision round passes, a hundred times as much does not."""
    value = torch.linspace(1, 2, 10, dtype=dtype)
    assert difference(value, value * (1 + rounds), []) == ""
    assert "returns other values" in difference(value, value * (1 + differs), [])
