"""Four methods whose board has every kind of row, and its golden table."""

from __future__ import annotations

from pathlib import Path

from sgbench.leaderboard.pages.table import to_markdown
from sgbench.records.record import RunRecord
from tests.leaderboard.factory import CLASSES, make_board, method, network_counts, protocol, record, target

GOLDEN_TABLE = Path(__file__).resolve().parent.parent / "golden" / "table.md"


def gallery() -> list[RunRecord]:
    """Four methods: two tied, one with a failed seed, one with a single seed and analogue input."""
    analogue = network_counts(events=25_000, operation="multiply_accumulate")
    triangle, zero = (
        method(surrogate="triangle"),
        method(surrogate="zero", parameters={"surrogate": {"width_fwhm": None, "normalisation": "raw"}}),
    )
    eprop = method(surrogate="sigmoid", choices={"rule": "eprop"})
    accuracies = {0: 0.96, 1: 0.97, 2: 0.98}
    return [
        *(record(seed=seed, accuracy=value) for seed, value in accuracies.items()),
        *(record(seed=seed, accuracy=value - 0.01, of=triangle) for seed, value in accuracies.items()),
        *(record(seed=seed, accuracy=None if seed == 1 else 0.4, of=zero) for seed in accuracies),
        record(accuracy=0.9, of=eprop, found=analogue),
    ]


def golden_table() -> str:
    """The gallery priced with two toy targets: one complete, one with static power and a missing term."""
    power = {
        "value_mw": 10,
        "low_mw": 5,
        "high_mw": 20,
        "scope": "static",
        "basis": "measured",
        "node_nm": None,
        "voltage_v": None,
        "source": "a data sheet",
        "mark": "secondary",
    }
    targets = [target(), target("warm", static=power, missing=("memory accesses",))]
    priced = {found.name: found for found in targets}
    board = make_board(gallery(), protocol=protocol(), targets=priced, classes=CLASSES)
    return to_markdown(board, layout="leaderboards")


def write() -> None:
    """Rewrite the golden table; review what moved."""
    GOLDEN_TABLE.write_text(golden_table(), encoding="utf-8")
