"""`sgbench sweep show`: tables say what the records say, with scipy's intervals, or why nothing is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import sgbench
from sgbench.cli.main import main
from sgbench.records.method import method_id
from tests.cli.filled_sweeps import SHAPES, SLOPES, Capture, fill, reached
from tests.messages import lines_naming
from tests.run.tiny import WORDS
from tests.thinned import thinned_rows


def shown(capsys: Capture, *words: str) -> dict[str, Any]:
    """The JSON of `sweep show`."""
    capsys.readouterr()
    assert main(["sweep", "show", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_show_after_runs(runs_dir: Path, capsys: Capture) -> None:
    """Tiny runs: the records are found where runs write them, and the table has the means of what they hold."""
    words = [*WORDS[1:], "surrogate=atan"]
    found = {
        width: [
            sgbench.run("sweep=surrogate_x_slope", *words, f"width_fwhm={width}", f"seed={seed}") for seed in (0, 1)
        ]
        for width in ("1", "2")
    }
    words += ["width_fwhm=1,2", "seed=0,1"]
    tree = shown(capsys, "surrogate_x_slope", *words)
    assert tree["runs"] == {"done": 4, "failed": 0, "missing": 0}
    assert tree["root"] == str(runs_dir)
    for row, (width, records) in zip(tree["combinations"], found.items(), strict=True):
        assert row["settings"] == {"width_fwhm": width}
        assert row["method_id"] == records[0].method_id
        selected = [float(record.validation.accuracy or 0) for record in records if record.validation]
        tested = [float(record.test.accuracy or 0) for record in records if record.test]
        assert row["validation"]["mean"] == pytest.approx(np.mean(selected))
        assert row["test"]["mean"] == pytest.approx(np.mean(tested))
    assert main(["sweep", "show", "surrogate_x_slope", *words]) == 0
    assert "4 runs of digits_v1" in capsys.readouterr().out


@pytest.mark.slow
def test_intervals_are_those_of_scipy(tmp_path: Path, capsys: Capture) -> None:
    """Mean, half-width of the 95 % t-interval over seeds, and its ends on the logit; of validation and test."""
    given = [0.91, 0.94, 0.95, 0.52, 0.63, 0.55, 0.2, 0.3, 0.25]
    fill("quickstart", SHAPES, tmp_path, given)
    rows = shown(capsys, "quickstart", *SHAPES, "--root", str(tmp_path))["combinations"]
    assert [row["surrogate"] for row in rows] == ["atan", "triangle", "zero"]
    for row, values in zip(rows, zip(*[iter(given)] * 3, strict=True), strict=True):
        for split, samples in (("validation", 359), ("test", 360)):
            seen = [reached(100 * value, samples) for value in values]
            low, high = stats.t.interval(0.95, 2, loc=np.mean(seen), scale=stats.sem(seen))
            assert row[split]["mean"] == pytest.approx(np.mean(seen))
            assert row[split]["half_width"] == pytest.approx((high - low) / 2)
            error = stats.sem(seen) / (np.mean(seen) * (1 - np.mean(seen)))
            ends = special.expit(stats.t.interval(0.95, 2, loc=special.logit(np.mean(seen)), scale=error))
            assert (row[split]["low"], row[split]["high"]) == pytest.approx(tuple(ends))
            assert row[split]["n"] == 3


@pytest.mark.slow
def test_failed_seeds_count_at_chance_and_missing_ones_not(tmp_path: Path, capsys: Capture) -> None:
    """A failed seed of ten classes is 10 %; a missing one is told with the command that makes it."""
    fill("quickstart", SHAPES, tmp_path, [0.9, None, 0.8, 0.7])
    tree = shown(capsys, "quickstart", *SHAPES, "--root", str(tmp_path))
    atan, triangle, zero = tree["combinations"]
    assert atan["seeds"] == {"done": [0, 2], "failed": [1], "missing": []}
    assert atan["validation"]["mean"] == pytest.approx((reached(90) + 0.1 + reached(80)) / 3)
    assert triangle["seeds"] == {"done": [0], "failed": [], "missing": [1, 2]}
    alone = {"half_width": None, "low": None, "high": None, "n": 1}
    assert triangle["validation"] == {"mean": pytest.approx(reached(70)), **alone}
    assert zero["validation"] is zero["test"] is None
    assert tree["runs"] == {"done": 3, "failed": 1, "missing": 5}
    assert main(["sweep", "show", "quickstart", *SHAPES, "--root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "9 runs of digits_v1" in text
    assert "3 done, 1 failed, 5 missing" in text
    assert f"sgbench sweep quickstart {' '.join(SHAPES)} paths.runs_dir={tmp_path}" in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["zero"] == ["zero", "-", "-", "-", "-", "3"]
    assert lines["triangle"][-3:] == ["1", "-", "2"]


def test_unreadable_record_is_named_and_counts_as_missing(tmp_path: Path, capsys: Capture) -> None:
    """A broken file, and a record of another run in its place."""
    first, second, *_ = fill("quickstart", SHAPES, tmp_path, [0.9, 0.9, 0.9])
    folder = tmp_path / "digits_v1" / method_id(first.method)
    (folder / "0" / "record.json").write_text("{")
    (folder / "1" / "record.json").write_bytes((folder / "2" / "record.json").read_bytes())
    assert second.seed == 1
    assert main(["sweep", "show", "quickstart", *SHAPES, "--root", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    tree = json.loads(out)
    assert tree["combinations"][0]["seeds"] == {"done": [2], "failed": [], "missing": [0, 1]}
    assert len(tree["unreadable"]) == len(err.splitlines()) == 2
    assert lines_naming(err, "another run", "record.json")


def test_json_has_stable_keys(tmp_path: Path, capsys: Capture) -> None:
    """The same for runs that are done and missing; strict JSON."""
    fill("quickstart", SHAPES, tmp_path, [0.9])
    tree = shown(capsys, "quickstart", *SHAPES, "--root", str(tmp_path))
    assert set(tree) == {"sweep", "protocol", "root", "axes", "runs", "unreadable", "combinations"}
    assert tree["axes"] == {"surrogate": ["atan", "triangle", "zero"]}
    keys = {"settings", "surrogate", "method_id", "score", "chance", "validation", "test", "seeds", "at_chance"}
    assert all(set(row) == keys for row in tree["combinations"])


def test_best_is_what_validation_selects(tmp_path: Path, capsys: Capture) -> None:
    """One line for each surrogate where other axes are swept too."""
    fill("surrogate_x_slope", SLOPES, tmp_path, [0.5] * 3 + [0.9] * 3 + [0.6] * 6 + [0.8] * 3 + [0.7] * 3)
    assert main(["sweep", "show", "surrogate_x_slope", *SLOPES, "--root", str(tmp_path)]) == 0
    best = [line for line in capsys.readouterr().out.splitlines() if line.startswith("best by validation")]
    assert [line.split(": ")[1] for line in best] == [
        "surrogate=atan, width_fwhm=1",
        "surrogate=triangle, width_fwhm=1",
    ]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "said"),
    thinned_rows(
        [
            (["quickstrat"], "did you mean 'quickstart'"),
            (["show", "quickstrat"], "did you mean 'quickstart'"),
            (["null"], "does not exist"),
            (["surrogate=atan"], "the name of a sweep comes first"),
            (["-m", "quickstart"], "the name of a sweep comes first"),
            (["quickstart", "--config-dir"], "--config-dir"),
            (["show", "quickstart", "surogate=atan,zero", "seed=0"], "did you mean 'surrogate'"),
            (["show", "quickstart", "surrogate=atann,zero", "seed=0"], "did you mean 'atan'"),
            (["show", "quickstart", "surrogate=atan", "seed=first,1"], "seed"),
            (["show", "quickstart", "seed=0"], "make them with: sgbench sweep quickstart seed=0"),
            (["show", "quickstart", "--root", "/nowhere"], "--root /nowhere: no such folder"),
            (["show", "quickstart", "--plot", "x.jpg"], ".png"),
            (["show", "quickstart", "--plot", "/nowhere/x.png"], "does not exist"),
        ],
        3,
    ),
)
def test_what_cannot_be_shown(words: list[str], said: str, capsys: Capture) -> None:
    """One line, exit code 2."""
    assert main(["sweep", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
