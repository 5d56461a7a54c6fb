"""The budget of each room: what comes in is paid by what goes out, so its numbers only fall."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.measure import BUDGETED, Count, budgeted, count_rooms, own_files, read_budget

pytestmark = pytest.mark.lint

TEXT = '''"""Doc."""

import math


class Ring:
    """Holds one."""

    radius: float  # metres

    def area(self) -> float:
        """Compute it.

        Twice said.
        """
        # round as a coin
        return math.pi * self.radius**2


def _half(ring: Ring) -> float:
    return ring.area() / 2
'''


def test_counts_by_hand() -> None:
    """Of 21 lines six are docstrings, seven blank; of an import, a class and two functions."""
    count = Count()
    count.add(TEXT)
    expected = {"files": 1, "lines": 21, "docs": 6, "blanks": 7, "comments": 1, "imports": 1, "heads": 3}
    expected |= {"functions": 2, "public": 2, "private": 1, "statements": 7}
    assert {name: count.numbers[name] for name in expected} == expected
    assert count.row()["body_median"] == 2
    assert count.bodies == [2, 1]


def test_no_room_is_over_its_budget() -> None:
    """Files, functions, public names and statements of each room; a new room writes its budget in the open."""
    agreed, today = read_budget(), budgeted(count_rooms(own_files()))
    assert sorted(today) == sorted(agreed)
    over = [
        f"{room}: {counts[name]} {name}, {agreed[room][name]} agreed"
        for room, counts in today.items()
        for name in BUDGETED
        if counts[name] > agreed[room][name]
    ]
    assert over == [], "let something go, then `python -m tools.measure --tighten` lowers the numbers"


def test_a_room_is_a_folder(tmp_path: Path) -> None:
    """Must differ: one file more is counted in its room and in no other."""
    for name in ("sgbench/a/x.py", "sgbench/b/y.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    one = budgeted(count_rooms([Path("sgbench/a/x.py")], tmp_path))
    both = budgeted(count_rooms([Path("sgbench/a/x.py"), Path("sgbench/b/y.py")], tmp_path))
    assert both["sgbench/a"] == one["sgbench/a"]
    assert both["sgbench/b"]["files"] == 1
