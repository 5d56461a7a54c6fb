"""Weights that saw the test set in all seeds but one: the one that is trained again must not be known beforehand.

The board is the published one of digits_v1, where gaussian came by submission. Its seed 0 is honest, and the others
claim 358 of 360 test images and more, as networks do that were trained on these.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor

from registry.__main__ import main as keep
from registry.audit import AuditRequest, BoardAudit
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.datasets.batches import SpikingData
from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.store.audits import AUDIT
from sgbench.leaderboard.store.repeats import NOT_REPEATABLE, judge_claims, repeatability_of, tolerance_for
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.audit import Audit, AuditSession, Repeatability, Retraining
from sgbench.records.files import read_model, to_json
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.statistics.intervals import t_quantile
from sgbench.submissions import draws
from sgbench.submissions.verify import tiers as tiers_module
from sgbench.training.runner import run_spec
from tests.messages import lines_naming, raises_naming
from tests.submission.conftest import BOARD, SAMPLE
from tests.submission.factory import Files, edit, rerecord, write
from tests.submission.test_audit import handing

REFERENCES = References()
SUBMITTED = SAMPLE.stem
LEAKED = {1: 358, 2: 359, 3: 360, 4: 358}
"""Right answers of 360 of the seeds that saw the test set."""
CLOSE = Repeatability(spread=0.003, largest=0.01, repeats=20, least=1 / 360, loose=0.1)


def honest(seed: int, method: str = SUBMITTED) -> float:
    """The accuracy of a published record, read as plain JSON."""
    tree = json.loads((BOARD / "records" / method / f"{seed}.json").read_text())
    return tree["test"]["accuracy"]


@pytest.fixture
def leaked(tmp_path: Path) -> Path:
    """A leaderboards folder whose submission claims leaked seeds, with the checks that these pass as they stood."""
    root = tmp_path / "boards"
    shutil.copytree(BOARD, root / "digits_v1", ignore=shutil.ignore_patterns(AUDIT))
    for seed, right in LEAKED.items():
        path = root / "digits_v1" / "records" / SUBMITTED / f"{seed}.json"
        tree = json.loads(path.read_text())
        tree["test"]["accuracy"] = right / 360
        path.write_text(json.dumps(tree))
    return root


def session(done: Sequence[Retraining], processor: str = "another") -> AuditSession:
    """What somebody trained again."""
    return AuditSession(
        verifier="sgbench maintainers",
        draw=20261129,
        commit=None,
        versions={},
        processor=processor,
        created_utc="2026-12-01T00:00:00Z",
        retrainings=tuple(done),
    )


def again(seed: int, claimed: float, value: float, method: str = SUBMITTED) -> Retraining:
    """One seed trained again."""
    return Retraining(method_id=method, seed=seed, claimed=claimed, again=value, engine="fused")


def put(root: Path, *done: Retraining, repeatability: Repeatability | None = CLOSE) -> Board:
    """The board of a folder, with an audit of these."""
    audit = Audit(
        schema_version=1,
        protocol="digits_v1",
        measure="accuracy",
        tolerance=None,
        sessions=(session(done),),
        passed_over=(),
        repeatability=repeatability,
    )
    (root / "digits_v1" / AUDIT).write_bytes(to_json(audit))
    (found,) = show(RecordTree(root, "leaderboards", REFERENCES, only="digits_v1")).boards
    return found


def test_the_one_honest_seed_gives_no_rank(leaked: Path) -> None:
    """Seed 0 agrees to the digit, in the audit and in the check that trained the first seed: four are unseen."""
    found = put(leaked, again(0, honest(0), honest(0)))
    (row,) = found.claimed
    assert (row.method_id, row.rank) == (SUBMITTED, None)
    assert row.score.mean > found.rows[0].score.mean


def test_all_seeds_trained_again_show_it(leaked: Path) -> None:
    """Each is held against its own claim; must differ: honest claims of all five have their rank."""
    done = [again(0, honest(0), honest(0))]
    done += [again(seed, right / 360, honest(seed)) for seed, right in LEAKED.items()]
    (row,) = put(leaked, *done).claimed
    assert row.listing is not None
    assert row.listing.provenance.failed is not None
    assert lines_naming(row.listing.provenance.failed.statement, "seed 2", "91.94", "99.72", "5 seeds")
    for seed in LEAKED:
        path = leaked / "digits_v1" / "records" / SUBMITTED / f"{seed}.json"
        path.write_bytes((BOARD / "records" / SUBMITTED / path.name).read_bytes())
    found = put(leaked, *(again(seed, honest(seed), honest(seed)) for seed in range(5)))
    assert (found.claimed, len(found.rows)) == ((), 8)


def test_without_repeats_on_another_processor_only_equal_scores_rank(leaked: Path) -> None:
    """Nineteen are too few: five seeds two images off are not repeatable closely enough, one image off is equal."""
    for seed in LEAKED:
        path = leaked / "digits_v1" / "records" / SUBMITTED / f"{seed}.json"
        path.write_bytes((BOARD / "records" / SUBMITTED / path.name).read_bytes())
    few = CLOSE.model_copy(update={"repeats": 19})
    for images, ranked in ((1, True), (2, False)):
        done = [again(seed, honest(seed), honest(seed) - images / 360) for seed in range(5)]
        found = put(leaked, *done, repeatability=few)
        assert (not found.claimed) is ranked
    (row,) = found.claimed
    assert row.listing is not None
    assert row.listing.provenance.failed is None
    assert row.listing.provenance.repeats is not None
    assert lines_naming(row.listing.provenance.repeats.statement, "19 repeats", NOT_REPEATABLE)


def test_verify_trains_every_seed_against_its_own_claim(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check before and rescoring let it pass; training again does not, nor may it write what it drew itself."""

    def published(spec: RunSpec) -> RunRecord:
        return read_model(BOARD / "records" / SUBMITTED / f"{spec.seed}.json", RunRecord)

    monkeypatch.setattr(tiers_module, "run_spec", published)
    forged = files
    for seed, right in LEAKED.items():
        forged = with_right_answers(forged, seed, right)
    root = write(tmp_path, forged)
    board = str(tmp_path / "none")
    assert main(["verify", str(root), "--tier", "rescored", "--board", board]) == 0
    capsys.readouterr()
    assert main(["verify", str(root), "--tier", "retrained", "--board", board]) == 1
    assert lines_naming(capsys.readouterr().out, "retrained: FAILED", "0, 1, 2, 3, 4")
    assert main(["verify", str(root), "--tier", "retrained", "--by", "me"]) == 2
    assert "python -m registry audit" in capsys.readouterr().err


def with_right_answers(files: Files, seed: int, right: int) -> Files:
    """A seed that answers so many of its test images right, as its record then claims."""
    head, *lines, _ = files[f"predictions/{seed}.csv"].decode().split("\n")
    cells = [line.split(",") for line in lines]
    for row in cells[:right]:
        scores = [float(value) for value in row[3:]]
        row[2] = row[1]
        row[3 + int(row[1])] = f"{max(scores) + 1:.9g}"
    hits = sum(row[1] == row[2] for row in cells)
    test = json.loads(files[f"records/{seed}.json"])["test"] | {"accuracy": hits / len(cells)}
    data = "\n".join([head, *(",".join(row) for row in cells), ""]).encode()
    return rerecord(edit(files, f"records/{seed}.json", test=test), seed, predictions=data)


@pytest.fixture
def slow_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose seeds take too long to train all of them; nothing was trained again."""
    monkeypatch.setattr(draws, "SHORT_S", 0.0)
    root = tmp_path / "boards"
    left_out = shutil.ignore_patterns(AUDIT, "retrained*.json", "objects")
    shutil.copytree(BOARD, root / "digits_v1", ignore=left_out)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    return root


def git(folder: Path, *words: str) -> str:
    """What git says."""
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *words],  # noqa: S607 - the user's own git
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder: Path) -> str:
    """Commit all, even nothing; the commit's hash."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "a commit")
    return git(folder, "rev-parse", "HEAD")


def audit_of(root: Path) -> BoardAudit:
    """The audit as it lies there."""
    return BoardAudit(root / "digits_v1", references=REFERENCES, runs_dir=root.parent / "runs")


def trained(root: Path, asked: list[RunSpec], request: AuditRequest) -> BoardAudit:
    """The audit after a request, runs being published records."""
    audit = audit_of(root)
    audit.train(request, verifier="me", runner=handing(asked))
    return audit


def test_a_commit_to_come_draws(slow_board: Path) -> None:
    """By hand: the three smallest of SHA-256("N digits_v1 ID SEED"), N the first 12 digits of the commit's hash."""
    request, asked = AuditRequest(method=SUBMITTED), []
    for _ in range(2):  # promised, and not committed yet
        with raises_naming(InputError, SUBMITTED, "first commit after"):
            trained(slow_board, asked, request)
    commit(slow_board)  # brings the promise: who hands in may have seen it
    with pytest.raises(InputError, match="none yet"):
        trained(slow_board, asked, request)
    drawing = commit(slow_board)
    commit(slow_board)
    audit = trained(slow_board, asked, request)
    number = int(drawing[:12], 16)

    def place(seed: int) -> str:
        return hashlib.sha256(f"{number} digits_v1 {SUBMITTED} {seed}".encode()).hexdigest()

    wanted = sorted(sorted(range(5), key=place)[:3])
    assert sorted(spec.seed for spec in asked) == wanted
    (draw,) = audit.audit.draws or ()
    assert (draw.commit, list(draw.seeds)) == (drawing, wanted)
    commit(slow_board)
    asked.clear()
    assert trained(slow_board, asked, request).audit.draws == (draw,)  # once: later commits draw nothing
    assert asked == []
    assert list(draws.draw_problems(audit.audit, slow_board / "digits_v1", {SUBMITTED: range(5)})) == []


def test_a_draw_is_told_whatever_becomes_of_it(slow_board: Path) -> None:
    """The file and the page name commit and seeds where no training could be made, and where one differs.

    Otherwise whoever trains could wait for a draw that suits him and tell of that one alone.
    """
    request = AuditRequest(method=SUBMITTED)
    assert audit_of(slow_board).promise(SUBMITTED)
    commit(slow_board)
    drawing = commit(slow_board)
    with pytest.raises(InputError, match="could be made"):
        audit_of(slow_board).train(request, verifier="me", runner=handing(first=0))
    (draw,) = read_model(slow_board / "digits_v1" / AUDIT, Audit).draws or ()
    assert draw.commit == drawing

    def page() -> str:
        (found,) = show(RecordTree(slow_board, "leaderboards", REFERENCES, only="digits_v1")).boards
        text = to_markdown(found, layout="leaderboards", indexed=frozenset())
        return text.partition("## Seeds drawn")[2].partition("## ")[0]

    told = ", ".join(map(str, draw.seeds))
    assert lines_naming(page(), SUBMITTED, drawing[:12], f"not trained yet: {told}")
    audit_of(slow_board).train(request, verifier="me", runner=handing(off=-0.3))
    assert lines_naming(page(), SUBMITTED, drawing[:12], "30.00 apart")


@pytest.mark.parametrize("how", ["commit", "seeds"])
def test_another_draw_is_found(slow_board: Path, how: str) -> None:
    """A commit that came later, or seeds that the right one does not draw."""
    audit = audit_of(slow_board)
    assert audit.promise(SUBMITTED)
    commit(slow_board)
    right = commit(slow_board)
    later = commit(slow_board)
    (draw,) = audit.audit.draws or ()
    seeds = draws.seeds_drawn("digits_v1", SUBMITTED, range(5), right)
    other = tuple(seed for seed in range(5) if seed not in seeds)
    changed = {"commit": later, "seeds": seeds} if how == "commit" else {"commit": right, "seeds": other}
    forged = audit.audit.model_copy(update={"draws": (draw.model_copy(update=changed),)})
    (said,) = draws.draw_problems(forged, slow_board / "digits_v1", {SUBMITTED: range(5)})
    assert SUBMITTED in said


def test_a_number_of_ones_own_ranks_nothing(slow_board: Path) -> None:
    """Seeds of --draw are trained and held against their claims; those that are promised stay to be trained."""
    audit = trained(slow_board, [], AuditRequest(7, method=SUBMITTED, seeds=3))
    (found,) = show(RecordTree(slow_board, "leaderboards", REFERENCES, only="digits_v1")).boards
    assert [verdict.passed for verdict in audit.verdicts()] == [True]
    assert [row.method_id for row in found.claimed] == [SUBMITTED]


def test_short_trainings_need_no_draw(slow_board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All five seeds of what was handed in, and one of each of the maintainers' rows."""
    monkeypatch.setattr(draws, "SHORT_S", 120.0)
    asked: list[RunSpec] = []
    audit = trained(slow_board, asked, AuditRequest())
    assert len(asked) == 5 + 7
    assert audit.audit.draws is None
    (found,) = show(RecordTree(slow_board, "leaderboards", REFERENCES, only="digits_v1")).boards
    assert found.claimed == ()


def test_accepting_promises(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where seeds take long the promise is written with the submission, once."""
    monkeypatch.setattr(draws, "SHORT_S", 0.0)
    board = tmp_path / "boards"
    for _ in range(2):
        assert keep(["accept", str(write(tmp_path / "it", files)), "--board", str(board)]) == 0
    (draw,) = read_model(board / "digits_v1" / AUDIT, Audit).draws or ()
    assert (draw.method_id, draw.commit, draw.seeds) == (SUBMITTED, None, ())


def pairs(count: int, processor: str) -> list[tuple[AuditSession, Retraining]]:
    """So many repeats, the first two points apart, the others one."""
    done = [again(seed, 0.90, 0.88 if seed == 0 else 0.91, "a" * 12) for seed in range(count)]
    return [(session(done, processor), each) for each in done]


def test_tolerance_by_hand() -> None:
    """Root mean square of twenty: sqrt((2^2 + 19) / 20) points, times t(20) at 99.9 %; never less than the largest.

    Must differ: repeats on the record's own processor count for nothing, nor does a second run of a seed.
    """
    recorded = {("a" * 12, seed): "this" for seed in range(20)}
    found = repeatability_of(pairs(20, "another"), recorded, least=0.001, loose=0.1)
    spread = ((0.02**2 + 19 * 0.01**2) / 20) ** 0.5
    assert (found.spread, found.largest, found.repeats) == (pytest.approx(spread), pytest.approx(0.02), 20)
    assert tolerance_for(found) == pytest.approx(t_quantile(0.999, 20) * spread)
    assert tolerance_for(found.model_copy(update={"largest": 0.5})) == 0.5
    assert tolerance_for(found.model_copy(update={"repeats": 19})) == 0.001
    assert repeatability_of(pairs(20, "this"), recorded, least=0.001, loose=0.1).repeats == 0
    assert repeatability_of(2 * pairs(20, "another"), recorded, least=0.001, loose=0.1).repeats == 20


def test_what_a_stranger_claims_sets_no_tolerance(leaked: Path) -> None:
    """Leaked claims lie seven points from what their seeds give; the board's tolerance is as without them."""
    audit = audit_of(leaked)
    own = [each for each in audit.rows if each != SUBMITTED]
    done = [again(seed, honest(seed, name), honest(seed, name), name) for name in own for seed in range(5)]
    cheat = [again(seed, right / 360, honest(seed)) for seed, right in LEAKED.items()]
    for more in ([], cheat):
        audit.audit = audit.audit.model_copy(update={"sessions": (session([*done, *more]),)})
        assert (audit.repeatability().spread, audit.repeatability().repeats) == (0.0, 35)


def test_each_seed_and_the_mean() -> None:
    """By hand: 4 points allowed for a seed, 2 for the mean of four, which all 3 points off miss; 20 say nothing."""
    known = Repeatability(spread=0.0, largest=0.04, repeats=20, least=0.001, loose=0.1)

    def judged(*apart: float, by: Repeatability = known) -> str:
        done = [again(seed, 0.90 + value, 0.90) for seed, value in enumerate(apart)]
        return judge_claims(done, by, is_loss=False)[0]

    assert judged(0.03, 0.0, 0.0, 0.0) == "agrees"
    assert judged(0.05, 0.0, 0.0, 0.0) == "differs"
    assert judged(0.03, 0.03, 0.03, 0.03) == "differs"
    assert judged(0.05, by=known.model_copy(update={"largest": 0.2})) == "loose"
    assert judged(0.3, by=known.model_copy(update={"largest": 0.2})) == "loose"
    assert judged(0.05, 0, 0, 0, by=known.model_copy(update={"largest": 0.2})) == "agrees"


@pytest.mark.slow
def test_weights_that_saw_the_test_set_at_every_tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 0 is honest, a third of the others' training images are the test set: check, rescoring and weights pass.

    Training again shows it, in `verify` and in the audit, whichever seed one thinks of first; the row has no rank.
    """
    setup = SpikingData.setup

    def peeking(data: SpikingData) -> None:
        setup(data)
        with data.last_step():
            test = data.splits["test"]
        train, count = data.splits["train"], len(test.target)
        assert isinstance(train.values, Tensor)
        assert isinstance(test.values, Tensor)
        train.values[:count], train.target[:count] = test.values, test.target

    boards, runs = tmp_path / "boards", tmp_path / "runs"
    shutil.copytree(BOARD, boards / "digits_v1")
    words = ["experiment=digits", "surrogate=exponential", "width_fwhm=1.7", "trainer.progress=false"]
    for seed in range(5):
        with monkeypatch.context() as patch:
            if seed:
                patch.setattr(SpikingData, "setup", peeking)
            run_spec(compose([*words, f"seed={seed}", f"paths.runs_dir={runs}"]))
    made = ["submit", "make", str(runs), "--name", "mine", "--contact", "@me", "--to", str(tmp_path / "subs")]
    assert main([*made, "--code", "https://example.org/mine"]) == 0
    (folder,) = (tmp_path / "subs" / "digits_v1").iterdir()
    board = ["--board", str(boards)]
    assert main(["submit", "check", str(folder), *board]) == 0
    assert keep(["accept", str(folder), *board]) == 0
    for tier in ("rescored", "reinferred"):
        assert main(["verify", str(folder), "--tier", tier, "--by", "me", *board]) == 0
    claimed = {seed: json.loads((folder / f"records/{seed}.json").read_text())["test"]["accuracy"] for seed in range(5)}
    assert min(claimed[seed] for seed in range(1, 5)) > claimed[0] + 0.02
    assert main(["verify", str(folder), "--tier", "retrained", *board]) == 1
    audit = BoardAudit(boards / "digits_v1", references=REFERENCES, runs_dir=tmp_path / "again")
    audit.train(
        AuditRequest(method=folder.name), verifier="me", runner=lambda specs: [run_spec(spec) for spec in specs]
    )
    assert audit.failed() == [folder.name]
    (found,) = show(RecordTree(boards, "leaderboards", REFERENCES, only="digits_v1")).boards
    assert [row.method_id for row in found.claimed] == [folder.name]
    assert found.claimed[0].score.mean > found.rows[0].score.mean
