"""`python -m registry audit`: what it draws and writes, and how it goes on; runs are handed to it, not trained.

The board is the published one of digits_v1, six of its methods with the seeds 0 to 4.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from registry import audit_command
from registry.__main__ import main as keep
from registry.audit import AuditRequest, BoardAudit
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.audits import AUDIT
from sgbench.paths import RECORD, run_dir
from sgbench.records.audit import Audit
from sgbench.records.files import read_model
from sgbench.records.method import method_id
from sgbench.records.spec import RunSpec
from sgbench.statistics.sampling import drawn
from tests.messages import lines_naming
from tests.submission.conftest import BOARD

REFERENCES = References()
OWN = "2c79c5b1e6a0"
LEFT_OUT = ("94a7c9b747a4", "a7c4ddf153ff")
METHODS = {path.name for path in (BOARD / "records").iterdir()} - {*LEFT_OUT}
Runner = Callable[[Sequence[RunSpec]], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A leaderboards folder with the published board, nothing of it trained again."""
    left_out = shutil.ignore_patterns(AUDIT, "retrained*.json", "objects", *LEFT_OUT)
    shutil.copytree(BOARD, tmp_path / "boards" / "digits_v1", ignore=left_out)
    return tmp_path / "boards"


def handing(asked: list[RunSpec] | None = None, *, off: float = 0.0, only: str = "", first: int = 99) -> Runner:
    """A runner that puts published records into the runs folder, their accuracies off for methods named so."""

    def run(specs: Sequence[RunSpec]) -> None:
        for spec in specs[:first]:
            if asked is not None:
                asked.append(spec)
            name = method_id(spec.method)
            tree = json.loads((BOARD / "records" / name / f"{spec.seed}.json").read_text())
            tree["test"]["accuracy"] += off if name.startswith(only) else 0.0
            tree["provenance"]["engine"] = "fused" if spec.engine == "auto" else spec.engine
            path = run_dir(Path(spec.paths.runs_dir), "digits_v1", name, spec.seed) / RECORD
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(tree))

    return run


def audited(root: Path, request: AuditRequest, runner: Runner) -> BoardAudit:
    """An audit after a request."""
    audit = BoardAudit(root / "digits_v1", references=REFERENCES, runs_dir=root.parent / "runs")
    audit.train(request, verifier="me", runner=runner)
    return audit


@pytest.mark.slow
def test_every_row_with_the_seed_that_the_draw_says(root: Path) -> None:
    """Independent: the first seed in the order of the hashes; each composes to the id that it has."""
    asked: list[RunSpec] = []
    audit = audited(root, AuditRequest(7), handing(asked))
    assert {method_id(spec.method) for spec in asked} == METHODS
    for spec in asked:
        name = method_id(spec.method)
        first = drawn([f"digits_v1 {name} {seed}" for seed in range(5)], 7)[0]
        assert spec.seed == int(first.rpartition(" ")[2])
        assert spec.trainer.device == "cpu"
    assert audit.failed() == []
    assert len(audit.verdicts()) == 6
    stored = read_model(root / "digits_v1" / AUDIT, Audit)
    assert stored == audit.audit
    assert stored.tolerance is not None
    assert stored.tolerance.score == 1 / 360  # every run gave the same again: one sample of the test set


@pytest.mark.slow
def test_nothing_is_trained_twice(root: Path) -> None:
    """The same request has nothing left; more seeds ask for those that are new alone, and keep the tolerance."""
    audited(root, AuditRequest(7), handing())
    asked: list[RunSpec] = []
    audited(root, AuditRequest(7), handing(asked))
    assert asked == []
    audit = audited(root, AuditRequest(7, seeds=2, method=OWN), handing(asked, off=-0.5))
    assert [method_id(spec.method) for spec in asked] == [OWN]
    assert audit.failed() == [OWN]
    assert audit.audit.tolerance is not None
    assert audit.audit.tolerance.score == 1 / 360


@pytest.mark.slow
def test_killed_it_goes_on(root: Path) -> None:
    """Three runs were finished: they are written, without a tolerance from so few; the rest follows."""
    with pytest.raises(InputError, match="none of 6 runs"):
        audited(root, AuditRequest(7), handing(first=0))
    audited(root, AuditRequest(7), handing(first=3))
    asked: list[RunSpec] = []
    audit = audited(root, AuditRequest(7), handing(asked))
    assert len(asked) == 3
    assert len(audit.verdicts()) == 6


def test_random_sample_of_rows(root: Path) -> None:
    """Independent: the first three rows in the order of the hashes."""
    asked: list[RunSpec] = []
    audited(root, AuditRequest(3, rows=3), handing(asked))
    names = drawn([f"digits_v1 {name}" for name in METHODS], 3)[:3]
    assert [method_id(spec.method) for spec in asked] == [name.rpartition(" ")[2] for name in names]


@pytest.fixture
def replicas(monkeypatch: pytest.MonkeyPatch) -> Callable[[Runner], None]:
    """Puts a runner in the place of replicas."""
    return lambda runner: monkeypatch.setattr(audit_command, "_replicas", runner)


def words(root: Path, *more: str) -> list[str]:
    """The command on this folder."""
    return ["audit", "--root", str(root), "--runs", str(root.parent / "runs"), *more]


@pytest.mark.slow
def test_command_plans_then_trains(root: Path, replicas, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name nothing is written; with it the board says what came of it, and holds together."""
    replicas(handing())
    assert keep(words(root, "--draw", "7")) == 0
    assert "6 runs drawn by 7, 6 left" in capsys.readouterr().out
    assert not (root / "digits_v1" / AUDIT).exists()
    assert keep(words(root, "--draw", "7", "--by", "me")) == 0
    out = capsys.readouterr().out
    assert out.count(" passed: seed ") == 6
    assert "0 left" in out
    assert keep(words(root)) == 0  # by default all seeds of the submission, and others by the commit or the date
    out = capsys.readouterr().out
    assert "10 runs drawn by " in out
    assert "drawn by 7," not in out
    assert main(["board", "build", "--from", "leaderboards", "--root", str(root)]) == 0
    table = (root / "digits_v1" / "table.md").read_text()
    assert "All 5 rows" in table  # the submission waits for its other seeds
    assert "self-reported |" not in table


def test_doctored_row_fails_on_every_engine(root: Path, replicas, capsys: pytest.CaptureFixture[str]) -> None:
    """Its seed is trained again on two more engines, which give the same; then the command ends with 1."""
    asked: list[RunSpec] = []
    replicas(handing(asked, off=-0.2, only=OWN))
    assert keep(words(root, "--draw", "7", "--by", "me")) == 1
    assert f"digits_v1 {OWN} FAILED: seed" in capsys.readouterr().out
    assert [spec.engine for spec in asked] == ["auto"] * 6 + ["scan", "reference"]
    assert {method_id(spec.method) for spec in asked[6:]} == {OWN}


@pytest.mark.slow
def test_row_is_passed_over_with_a_reason(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It needs one row, a name and plain text."""
    assert keep(words(root, "--method", OWN, "--by", "me", "--pass-over", "a run takes nine days")) == 0
    stored = read_model(root / "digits_v1" / AUDIT, Audit)
    assert [(each.method_id, each.reason) for each in stored.passed_over] == [(OWN, "a run takes nine days")]
    capsys.readouterr()
    for more in (
        ("--by", "me", "--pass-over", "why"),
        ("--method", OWN, "--pass-over", "why"),
        ("--method", OWN, "--by", "me", "--pass-over", "<b>why</b>"),
        ("--method", "fff", "--by", "me", "--pass-over", "why"),
        ("--seeds", "0"),
        ("--rows", "0"),
        ("--draw", "-1"),
        ("--protocol", "digits_v9"),
    ):
        assert keep(words(root, *more)) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_curve_needs_a_tolerance_and_tells_it(root: Path, replicas, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that give exactly the same again: none is caught in vain, and every one at twice the tolerance."""
    assert keep(words(root, "--curve")) == 2
    assert "no tolerance yet" in capsys.readouterr().err
    replicas(handing())
    assert keep(words(root, "--draw", "7", "--by", "me")) == 0
    assert keep(words(root, "--curve", "--json")) == 0
    out = capsys.readouterr().out
    curve = json.loads(out[out.index("\n{") :])["digits_v1"]["curve"]
    assert [point["caught"] for point in curve] == [0, 0, 0, 1, 1, 1]
    assert lines_naming(out, "digits_v1", "2 tolerances", "100.0 %", "6 of 6")


def test_boards_are_no_submissions(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` names the command that repeats rows of a board."""
    assert main(["verify", str(root / "digits_v1"), "--tier", "retrained"]) == 2
    assert f"python -m registry audit --protocol digits_v1 --root {root} --by NAME" in capsys.readouterr().err


@pytest.mark.slow
def test_row_is_trained_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole way, with a training: the command of one row; its tolerance is that of seeds, from all rows."""
    assert keep(words(root, "--draw", "7", "--rows", "1", "--by", "me")) == 0
    assert "passed: seed" in capsys.readouterr().out
    stored = read_model(root / "digits_v1" / AUDIT, Audit)
    assert stored.tolerance is not None
    assert stored.tolerance.basis == "seeds"
    (session,) = stored.sessions
    assert len(session.retrainings) == 1
    assert keep(words(root, "--draw", "7", "--rows", "1", "--by", "me")) == 0


@pytest.mark.slow
def test_weights_on_samples_drawn_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Honest weights of delayed XOR score on other samples what they claim, within three binomial errors of 5,000.

    Must differ: of bundled images, and of manifolds that each draw makes anew, there is no score.
    """
    for name in ("delayed_xor_v1", "digits_v1", "randman_rules_v1"):
        shutil.copytree(BOARD.parent / name, tmp_path / "boards" / name, ignore=shutil.ignore_patterns(AUDIT))
    asked = words(tmp_path / "boards", "--fresh", "--draw", "20261129")
    assert keep([*asked, "--protocol", "delayed_xor_v1", "--method", "2cf9"]) == 0
    (fresh,) = read_model(tmp_path / "boards" / "delayed_xor_v1" / AUDIT, Audit).fresh
    assert (fresh.samples, fresh.seeds) == (1000, (0, 1, 2, 3, 4))
    assert fresh.claimed == pytest.approx(0.8056)
    assert fresh.fresh != fresh.claimed
    assert abs(fresh.fresh - fresh.claimed) < 3 * (2 * 0.8 * 0.2 / 5000) ** 0.5
    capsys.readouterr()
    for name, method in (("digits_v1", "e336"), ("randman_rules_v1", "")):
        assert keep([*asked, "--protocol", name, "--method", method]) == 0
        assert f"{name}: 0 rows scored" in capsys.readouterr().out
