"""What a sweep's lines say: choices before numbers, what is best, intervals that say nothing, long lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from sgbench.cli.main import main
from sgbench.composition.plan import plan
from sgbench.records.method import method_id
from sgbench.sweeps.names import name_methods
from sgbench.sweeps.outcome import headline, point_label
from sgbench.sweeps.results import Results
from tests.cli.filled_sweeps import SHAPES, fill
from tests.leaderboard import factory
from tests.messages import lines_naming
from tests.run.tiny import WORDS

Capture = pytest.CaptureFixture[str]
RULES = ["surrogate=atan", "optimizer.lr=0.01,0.02", "rule=bptt,eprop", "loss=per_step", "seed=0,1"]


def table(capsys: Capture, root: Path, name: str, *words: str) -> list[str]:
    """The lines of `sweep show`."""
    assert main(["sweep", "show", name, *words, "--root", str(root)]) == 0
    return capsys.readouterr().out.splitlines()


def best(lines: list[str]) -> list[str]:
    """What is named best, without the scores."""
    return [line.split(": ")[1] for line in lines if line.startswith("best by validation")]


@pytest.mark.slow
def test_choices_come_before_numbers(tmp_path: Path, capsys: Capture) -> None:
    """A sweep over rules and a number: columns and names begin with the rule, and each rule has a best setting."""
    fill("quickstart", RULES, tmp_path, [0.5, 0.9, 0.6, 0.7] * 2)  # of each seed the rates, in each both rules
    lines = table(capsys, tmp_path, "quickstart", *RULES)
    (head,) = [line.split() for line in lines if line.startswith("rule ")]
    assert head[:2] == ["rule", "optimizer.lr"]
    assert best(lines) == ["rule=bptt, optimizer.lr=0.02", "rule=eprop, optimizer.lr=0.01"]


def test_a_line_of_a_sweep_is_called_by_what_is_swept() -> None:
    """By hand: rule before its number; a sweep over surrogates or seeds alone goes by the surrogate."""
    rules = plan([*WORDS, "optimizer.lr=0.1,0.2", "rule=bptt,eprop", "loss=per_step", "seed=0,1"], multirun=True)
    names = name_methods(rules)
    assert names[method_id(rules.specs[0].method)] == "rule=bptt, optimizer.lr=0.1"
    assert point_label(rules.specs[-1], names) == "digits_v1 rule=eprop, optimizer.lr=0.2 seed 1"
    record = factory.record(of=rules.specs[-1].method, seed=1, accuracy=0.9)
    assert headline(record, names).startswith("digits_v1 rule=eprop, optimizer.lr=0.2 ")
    assert headline(record).startswith("digits_v1 atan ")
    assert name_methods(plan([*WORDS, "surrogate=atan,triangle", "seed=0,1"], multirun=True)) == {}


@pytest.mark.slow
def test_a_failed_run_is_not_the_best(tmp_path: Path, capsys: Capture) -> None:
    """All of one row failed, at chance, and all that finished are worse: the best is one that finished."""
    fill("quickstart", SHAPES, tmp_path, [None, None, None, 0.05, 0.05, 0.05])
    assert best(table(capsys, tmp_path, "quickstart", *SHAPES)) == ["surrogate=triangle"]
    fill("quickstart", ["surrogate=zero,constant", "seed=0"], tmp_path, [None, None])
    lines = table(capsys, tmp_path, "quickstart", "surrogate=zero,constant", "seed=0")
    assert best(lines) == []


def test_an_interval_of_accuracies_ends_within_0_and_100(tmp_path: Path, capsys: Capture) -> None:
    """Two seeds of 37 % and 82 %: 12.7 standard errors of 22 points are 283, and on the logit all of 0 to 100."""
    words = ["surrogate=atan,triangle", "seed=0,1"]
    fill("quickstart", words, tmp_path, [0.376, 0.822, 0.80, 0.81])
    lines = table(capsys, tmp_path, "quickstart", *words)
    text = "\n".join(lines)
    assert re.search(r" 59\.\d\d \(0\.00 to 100\.00\) ", text)
    told = [float(end) for ends in re.findall(r"\((-?[\d.]+) to ([\d.]+)\)", text) for end in ends]
    assert len(told) == 12  # two rows and the best one, of validation and test each
    assert all(0 <= number <= 100 for number in told)


@pytest.mark.slow
def test_many_unreadable_records_are_counted(tmp_path: Path, capsys: Capture) -> None:
    """Of 30 broken files a sweep names nine, a board the first, and both count the others."""
    words = ["surrogate=atan,triangle", "seed=range(20)"]
    specs = fill("quickstart", words, tmp_path, [0.9] * 40)
    for spec in specs[:30]:
        (tmp_path / "digits_v1" / method_id(spec.method) / str(spec.seed) / "record.json").write_text("{")
    assert main(["sweep", "show", "quickstart", *words, "--root", str(tmp_path)]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 10
    assert lines_naming(shown[-1], "21 more", "--json")
    assert main(["board", "show", "--root", str(tmp_path)]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("left out", "not ranked"))]
    assert len(told) == 2  # the first of each cause, with the number of the others
    assert lines_naming(told[0], "left out", "not a valid JSON file", "29 more")
    assert lines_naming(told[1], "not ranked", "seeds 0 to 4", "9 more")


def test_a_picture_says_what_its_protocol_was_changed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Two epochs of thirty are in what the title is made of; the table's protocol is the plain one."""
    words = ["surrogate=atan,triangle", "seed=0", "protocol.epochs=2"]
    fill("quickstart", words, tmp_path, [0.5, 0.6])
    drawn: list[str] = []

    def title_alone(results: Results, *_: object) -> Figure:
        drawn.append(results.protocol)
        return Figure()

    monkeypatch.setattr("sgbench.cli.sweep._figure", title_alone)
    lines = table(capsys, tmp_path, "quickstart", *words, "--plot", str(tmp_path / "x.png"))
    assert drawn == ["digits_v1 with epochs=2"]
    assert lines[0].startswith("quickstart: 2 runs of digits_v1 in ")
