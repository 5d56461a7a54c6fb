"""The benchmark of networks as written: both contenders compute the same; how fast they are is never tested."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import as_written
from benchmarks.as_written import Dense, Recurrent, Workload, events, measure


@pytest.mark.parametrize("name", ["dense", "recurrent"])
def test_a_small_workload_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: positive times, all layers at once, peers that are named where they are not compared.

    Must differ: another network, which is refused.
    """
    small = {
        "dense": Workload(lambda: Dense(6, 5, 10), lambda: torch.rand(4, 6) * 9, "an image"),
        "recurrent": Workload(lambda: Recurrent(6, 5), events(7, 4, 6, density=0.4), "spikes"),
    }
    monkeypatch.setattr(as_written, "WORKLOADS", small)
    row = measure(name, 1, ("vmap", "Norse", "SpikingJelly"))
    assert all(row["cpu_ms"][key] > 0 for key in ("as written", "accelerated", "vmap"))
    assert all("at once" in line for line in row["runs_on"])
    assert {*row["cpu_ms"], *row["peers"]} == {"as written", "accelerated", "vmap", "Norse", "SpikingJelly"}
    assert all(row["peers"].values())
    monkeypatch.setattr(as_written, "accelerate", lambda _: Dense(6, 5, 10))
    if name == "dense":
        with pytest.raises(SystemExit, match="something else"):
            measure(name, 1)


def test_the_page_shows_the_stored_ratios() -> None:
    """Expected: what `--page` writes of the stored file, with a row for each workload."""
    stored = json.loads(as_written.STORED.read_text())
    shown = as_written.PAGE.read_text().split(as_written.START)[1].split(as_written.END)[0].strip()
    assert shown == as_written.table(stored)
    assert [row["workload"] for row in stored[0]["rows"]] == [*as_written.WORKLOADS]
