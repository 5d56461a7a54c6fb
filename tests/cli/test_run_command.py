"""`sgbench run` on one run: what it says, what it goes round once for, and what it will not repeat."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sgbench.cli.main import main
from tests.run.tiny import WORDS


def test_one_run_says_its_score_and_its_record(capfd: pytest.CaptureFixture[str], runs_dir: Path) -> None:
    """Exit code 0; the line's accuracy is the record's."""
    assert main(["run", *WORDS, "seed=3"]) == 0
    out = capfd.readouterr().out
    (path,) = runs_dir.rglob("record.json")
    assert str(path) in out
    accuracy = json.loads(path.read_text())["test"]["accuracy"]
    assert f"test {100 * accuracy:.1f} %" in out
    assert path.parts[-2] == "3"


def test_cfg_shows_the_composed_configuration(capfd: pytest.CaptureFixture[str]) -> None:
    """Hydra's own flag works and runs nothing."""
    assert main(["run", "--cfg", "job", "surrogate=triangle"]) == 0
    assert "sgbench.surrogates.triangle.Triangle" in capfd.readouterr().out


def counted(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> list[dict[str, Any]]:
    """A list that grows by the named arguments of a function whenever it is called."""
    function = getattr(where, name)
    calls: list[dict[str, Any]] = []

    def count(*args: Any, **named: Any) -> Any:
        calls.append(named)
        return function(*args, **named)

    monkeypatch.setattr(where, name, count)
    return calls


@pytest.mark.slow
def test_a_single_run_goes_round_once(every_merge_is_hydras: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra merges the words once, one network is built, no record is read and `sys.argv` stays."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    from sgbench.training import base_run, build, run_folder

    merges = counted(monkeypatch, ConfigLoaderImpl, "load_configuration")
    builds = counted(monkeypatch, build, "build_network")
    reads = counted(monkeypatch, run_folder, "read_model")
    collect = base_run.provenance.collect
    seen: list[list[str]] = []

    def look(*args: Any, **named: Any) -> Any:
        seen.append(list(sys.argv))
        return collect(*args, **named)

    monkeypatch.setattr(base_run.provenance, "collect", look)
    before = list(sys.argv)
    for number, words in enumerate([WORDS, (*WORDS, "force=true")], start=1):
        assert main(["run", *words]) == 0
        # The reference run, which the command compares with, is merged of words of its own.
        assert [set(WORDS) <= set(merge["overrides"]) for merge in merges].count(True) == number
        assert (len(builds), seen) == (number, [before] * number)
        assert number > 1 or not reads


@pytest.mark.slow
def test_parts_built_before_a_run_change_nothing_of_it(runs_dir: Path) -> None:
    """Expected: the record of the command is that of the same spec, whose parts `run_spec` builds itself."""
    from sgbench.composition.compose import compose
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord
    from sgbench.training.runner import run_spec
    from tests.run.tiny import comparable

    assert main(["run", *WORDS, "rule=eprop", "loss=per_step"]) == 0
    (path,) = runs_dir.rglob("record.json")
    words = [*WORDS, "rule=eprop", "loss=per_step", f"paths.runs_dir={runs_dir / 'other'}"]
    assert comparable(read_model(path, RunRecord)) == comparable(run_spec(compose(words)))


def test_what_will_not_be_ranked_is_said_before_it_runs(capfd: pytest.CaptureFixture[str]) -> None:
    """The tiny run leaves its protocol; the reference run does not."""
    assert main(["run", *WORDS]) == 0
    out = capfd.readouterr().out
    assert "note: protocol." in out
    assert "not ranked on digits_v1" in out


def test_an_old_result_is_not_shown_as_a_new_one(capfd: pytest.CaptureFixture[str]) -> None:
    """Asked again, the command says that nothing ran, and how to repeat it."""
    assert main(["run", *WORDS]) == 0
    assert "already finished" not in capfd.readouterr().out
    assert main(["run", *WORDS]) == 0
    assert "already finished (20" in capfd.readouterr().out
