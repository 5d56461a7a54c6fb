"""Exponents of costs: the fit, and what of the costs does not depend on the machine."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import rules_table, scaling
from sgbench.errors import InputError


def test_example_in_the_docstring() -> None:
    assert doctest.testmod(scaling, report=False).failed == 0


def made_up() -> dict:
    """By hand: memory 3 N^2 bytes whatever T, time N T / 10 ms."""

    def entries(points: list[tuple[int, int, int]]) -> dict:
        return {
            str(size): {
                "neurons": neurons,
                "steps": steps,
                "added_bytes": 3 * neurons**2,
                "cpu_ms": [neurons * steps / 10, 1e6, 0.0],
            }
            for size, neurons, steps in points
        }

    neurons = entries([(n, n, 50) for n in (10, 20, 40, 80)])
    steps = entries([(t, 10, t) for t in (50, 100, 200)])
    return {"ways": {name: {"neurons": neurons, "steps": steps} for name in scaling.WAYS}}


def test_exponents_of_made_up_costs() -> None:
    """By hand: 2 and 0 for memory, 1 and 1 for time; the median of rounds counts, not their mean."""
    curves = scaling.curves(made_up(), "real-time recurrent learning")
    fitted = {name: scaling.exponent(*curve) for name, curve in curves.items()}
    assert fitted == pytest.approx(
        {"memory neurons": 2, "memory steps": 0, "time neurons": 1, "time steps": 1}, abs=1e-9
    )
    row = scaling.show(made_up()).splitlines()[-1]
    assert row.startswith("| local")
    assert "| 2.00 | 1 |" in row  # fitted, then the theory's


def test_the_page_is_made_of_what_was_measured(tmp_path: Path) -> None:
    """Expected: the committed table between its marks; a page without marks and a missing result are refused."""
    text = rules_table.PAGE.read_text(encoding="utf-8")
    tree = json.loads(scaling.RESULT.read_text(encoding="utf-8"))
    between = text.partition(rules_table.SCALING)[2].partition(rules_table.SCALING_END)[0]
    assert between.strip() == scaling.show(tree).strip()
    with pytest.raises(InputError, match="are needed"):
        rules_table.rewrite_scaling(_written(tmp_path / "page.md", "nothing"))
    with pytest.raises(InputError, match="python -m benchmarks scaling"):
        scaling.rewrite(tmp_path / "none.json", tmp_path / "picture.png")


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.slow
def test_memory_of_real_time_recurrent_learning_grows_with_the_cube() -> None:
    """Theory: B N P numbers of P = 2 N^2 weights; must differ: back-propagation, whose memory is linear in N.

    Ours also holds a unit direction of P numbers for each weight, so P^2 in all: few beside B N P where a batch B has
    many times as many samples as there are neurons. A quarter of slack for weights of the readout, which are few too.
    """
    assert _memory_exponent("real-time recurrent learning", (12, 16, 24, 32), batch=128) == pytest.approx(3, abs=0.25)
    assert _memory_exponent("back-propagation through time", scaling.LARGE, batch=16) < 2


def _memory_exponent(way: str, neurons: tuple[int, ...], *, batch: int) -> float:
    """Measure in a process of its own, as the command does: the heap of this one has gaps that other tests left."""
    script = f"""
from benchmarks import scaling
way = scaling.WAYS[{way!r}]._replace(neurons={neurons}, steps=(4,))
tree = scaling.compare(scaling.ScalingSettings(batch={batch}, rounds=1), dict(way=way))
print(scaling.exponent(*scaling.curves(tree, "way")["memory neurons"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(done.stdout)
