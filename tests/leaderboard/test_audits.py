"""What an audit says of rows: verdicts by hand counts, ranks with and without it, and claims that it got wrong.

The published board of digits_v1 has eight methods; one, gaussian, came by submission and passed all tiers.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from registry.detection import detection_curve, perfect_claims
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.checked import audit_statements
from sgbench.leaderboard.pages.explain import explain_rows, find_row
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.store.audits import AUDIT, read_audit, tolerance_in_use, tolerance_of, verdicts
from sgbench.leaderboard.store.method_provenance import read_provenances
from sgbench.leaderboard.store.stored import StoredRecords
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.audit import Audit, AuditSession, FreshScore, PassedOver, Repeatability, Retraining, Tolerance
from sgbench.records.files import to_json
from sgbench.statistics.intervals import t_quantile
from tests.figures import figures
from tests.messages import lines_naming

PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1"
SUBMITTED, OWN = "e3367789b010", "2c79c5b1e6a0"
OWN_TOO = (SUBMITTED,)
"""What makes the submission a row of the maintainers, as an audit says it."""
REFERENCES = References()
THREE_POINTS = Tolerance(score=0.03, spread=0.01, pairs=20, basis="remade", solved_from=None)
CLOSE = Repeatability(spread=0.01, largest=0.03, repeats=20, least=1 / 360, loose=0.1)
SOLVED = Tolerance(score=0.6, spread=0.2, pairs=20, basis="remade", solved_from=0.9)


def retraining(method: str, seed: int, claimed: float, again: float, engine: str = "fused") -> Retraining:
    """One seed trained again."""
    return Retraining(method_id=method, seed=seed, claimed=claimed, again=again, engine=engine)


def audit(done: Sequence[Retraining], tolerance: Tolerance | None = THREE_POINTS, **values: object) -> Audit:
    """An audit of digits_v1 with one session."""
    session = AuditSession(
        verifier="me",
        draw=1,
        commit=None,
        versions={},
        processor="a processor",
        created_utc="2026-01-01T00:00:00Z",
        retrainings=tuple(done),
    )
    tree: dict[str, object] = {"schema_version": 1, "protocol": "digits_v1", "measure": "accuracy"}
    tree |= {"tolerance": tolerance, "sessions": (session,), "passed_over": ()}
    return Audit.model_validate(tree | values)


def passes(*done: Retraining, tolerance: Tolerance = THREE_POINTS) -> bool:
    """The one verdict of an audit."""
    (verdict,) = verdicts(audit(done, tolerance))
    return verdict.passed


def claims(method: str) -> dict[int, float]:
    """Test accuracies of a published method, read as plain JSON."""
    paths = sorted((PUBLISHED / "records" / method).glob("*.json"))
    return {int(path.stem): json.loads(path.read_text())["test"]["accuracy"] for path in paths}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A leaderboards folder with the published board of digits_v1, without any re-training."""
    left_out = shutil.ignore_patterns("retrained*.json", "reinferred-*.json", AUDIT)
    shutil.copytree(PUBLISHED, tmp_path / "digits_v1", ignore=left_out)
    return tmp_path


def put(root: Path, given: Audit) -> Board:
    """The board once this audit lies beside its records."""
    (root / "digits_v1" / AUDIT).write_bytes(to_json(given))
    return board(root)


def board(root: Path) -> Board:
    """The board of a folder."""
    (found,) = show(RecordTree(root, "leaderboards", REFERENCES, only="digits_v1")).boards
    return found


@pytest.mark.parametrize(
    ("again", "passed"), [(0.90, True), (0.93, True), (0.87, True), (0.9301, False), (0.86, False)]
)
def test_one_seed_may_lie_as_far_as_the_tolerance(again: float, passed: bool) -> None:
    """Claimed 90 %, three points allowed on either side."""
    assert passes(retraining(OWN, 0, 0.90, again)) is passed


def test_each_seed_has_to_agree() -> None:
    """One of two is ten points off: their mean would be five."""
    assert not passes(retraining(OWN, 0, 0.90, 0.90), retraining(OWN, 1, 0.90, 0.80))


def test_a_second_engine_may_acquit_an_unstable_seed_but_no_doctored_one() -> None:
    """A claim within the range of what its seed gives again stands; one above all of it does not."""
    first = retraining(OWN, 0, 0.90, 0.80)
    assert not passes(first)
    assert passes(first, retraining(OWN, 0, 0.90, 0.91, "scan"))
    assert not passes(first, retraining(OWN, 0, 0.90, 0.82, "scan"), retraining(OWN, 0, 0.90, 0.81, "reference"))
    assert not passes(first, retraining(OWN, 1, 0.90, 0.91, "scan"))  # another seed acquits nothing


def test_solved_shares_of_the_same_seeds_are_compared() -> None:
    """By hand: 5 of 5 against 0 of 5 has Fisher's doubled p of 2/252, Boschloo's is less; 1 of 5 has 12/252."""
    for solved, passed in ((0, False), (1, True), (5, True)):
        done = [retraining(OWN, seed, 1.0, 1.0 if seed < solved else 0.5) for seed in range(5)]
        assert passes(*done, tolerance=SOLVED) is passed
    swapped = [retraining(OWN, seed, float(seed % 2), float((seed + 1) % 2)) for seed in range(4)]
    assert list(verdicts(audit(swapped, SOLVED))) == []  # four seeds can tell nothing
    assert passes(*swapped, retraining(OWN, 4, 1.0, 1.0), tolerance=SOLVED)


def test_no_verdict_without_a_tolerance() -> None:
    """What was trained again is kept, and says nothing yet."""
    assert list(verdicts(audit([retraining(OWN, 0, 0.9, 0.1)], None))) == []


def test_tolerance_by_hand() -> None:
    """Root mean square of all but the largest; Bonferroni's quantile over the rows; a floor of one sample."""
    differences = [0.01, -0.02, 0.0, 0.01, 0.5]
    seeds = [[0.9, 0.92]] * 5
    found = tolerance_of(differences, seeds, least=0.002, solved_from=0.95, widest=0.45)
    spread = math.sqrt((0.01**2 + 0.02**2 + 0.01**2) / 4)
    assert found.spread == pytest.approx(spread)
    assert found.score == pytest.approx(t_quantile(1 - 0.01 / 5, 4) * spread)
    assert (found.pairs, found.basis, found.solved_from) == (5, "remade", None)
    exact = tolerance_of([0.0] * 8, seeds, least=0.002, solved_from=0.95, widest=0.45)
    assert (exact.score, exact.spread) == (0.002, 0.0)
    wide = tolerance_of([0.4, -0.3, 0.0, 0.5, 0.5], seeds, least=0.002, solved_from=0.95, widest=0.25)
    assert wide.solved_from == 0.95


def test_few_rows_take_the_spread_of_seeds() -> None:
    """Two methods of seeds 0.02 apart: the difference of two runs spreads by sqrt(2) x 0.02 / sqrt(2)."""
    found = tolerance_of([0.0], [[0.90, 0.92], [0.80, 0.82]], least=0.001, solved_from=0.9, widest=9.0)
    assert (found.basis, found.pairs) == ("seeds", 3)
    assert found.spread == pytest.approx(0.02)
    with pytest.raises(InputError, match="two seeds or more"):
        tolerance_of([0.0], [[0.90]], least=0.001, solved_from=0.9, widest=9.0)


def test_weights_that_saw_the_test_set_take_no_rank(copy: Path) -> None:
    """Five seeds of 99.4 to 100 % pass rescoring and re-inference: no rank before or after a re-training."""
    for seed, accuracy in enumerate((358, 359, 360, 358, 359)):
        path = copy / "digits_v1" / "records" / SUBMITTED / f"{seed}.json"
        tree = json.loads(path.read_text())
        tree["test"]["accuracy"] = accuracy / 360
        path.write_text(json.dumps(tree))
    before = board(copy)
    (row,) = before.claimed
    assert row.listing is not None
    assert row.listing.provenance.best is not None
    assert (row.method_id, row.listing.provenance.best.tier) == (SUBMITTED, "reinferred")
    assert row.score.mean > before.rows[0].score.mean
    assert max(other.rank.high for other in before.rows if other.rank) == 7
    done = [retraining(SUBMITTED, seed, 358 / 360, 334 / 360) for seed in range(5)]  # 92.78 %
    (caught,) = put(copy, audit(done, repeatability=CLOSE)).claimed
    assert caught.listing is not None
    assert caught.listing.provenance.failed is not None
    assert lines_naming(caught.listing.provenance.failed.statement, "seed", "92.78", "99.44")


def test_trained_again_it_has_its_rank(copy: Path) -> None:
    """Must differ: the honest row is ranked once all seeds agree, or where a reason is stated why none was."""
    assert SUBMITTED in {row.method_id for row in board(copy).claimed}
    done = [retraining(SUBMITTED, seed, claim, claim + 0.01) for seed, claim in claims(SUBMITTED).items()]
    agreeing = audit(done, repeatability=CLOSE)
    assert (len(put(copy, agreeing).rows), put(copy, agreeing).claimed) == (8, ())
    stated = audit([], passed_over=(PassedOver(method_id=SUBMITTED, reason="a run takes nine days"),))
    found = put(copy, stated)
    assert (len(found.rows), found.claimed) == (8, ())


def test_own_rows_that_fail_lose_their_rank(copy: Path) -> None:
    """A row without a submission keeps its rank unseen, and has none once a seed does not agree."""
    found = put(copy, audit([retraining(OWN, 0, claims(OWN)[0], 0.1)]))
    assert {row.method_id for row in found.claimed} == {OWN, SUBMITTED}
    said = explain_rows(found, find_row(found, OWN), find_row(found, SUBMITTED), hits={}).short
    assert lines_naming("\n".join(said), "A", "no rank", "retrained", "seed 0")
    assert lines_naming("\n".join(said), "B", "no rank yet")
    ranked = [row for row in found.rows if row.rank][:2]
    assert not any("no rank" in line for line in explain_rows(found, *ranked, hits={}).sentences)


def shown(share: float) -> float:
    """A share in percent as pages write it."""
    return round(100 * share, 1)


def test_page_states_the_bound(copy: Path) -> None:
    """By hand: one of five seeds of two rows misses shares below 1 - 0.05^(1/2); of eight rows, 1 - 0.05^(1/8)."""
    assert list(audit_statements(board(copy))) == []
    two = [retraining(name, 0, claims(name)[0], claims(name)[0]) for name in (OWN, SUBMITTED)]
    (said,) = audit_statements(put(copy, audit(two, own=OWN_TOO)))
    # Rows drawn and all; confidence, share of the seeds of all rows, and the rule of three: 3 / 2.
    assert figures(said) == [2, 8, 95, shown(1 - 0.05 ** (1 / 2)), 8, 150]
    assert "at random" in said.partition("confidence")[2]
    names = sorted(path.name for path in (PUBLISHED / "records").iterdir())
    every = [retraining(name, 0, claims(name)[0], claims(name)[0]) for name in names]
    (said,) = audit_statements(put(copy, audit(every, own=OWN_TOO)))
    assert figures(said) == [8, 95, shown(1 - 0.05 ** (1 / 8)), 37.5]  # all rows, and 3 / 8
    assert "at random" not in said.partition("confidence")[2]
    stated = PassedOver(method_id=SUBMITTED, reason="a run takes nine days")
    *_, said = audit_statements(put(copy, audit(two[:1], passed_over=(stated,), own=OWN_TOO)))
    assert SUBMITTED in said
    assert stated.reason in said


def test_page_counts_rows_that_do_not_agree(copy: Path) -> None:
    """By hand: of eight runs one is wrong; binomial(8, p) is at most 1 in 5 of 100 cases at p = 47.1 %."""
    names = sorted(path.name for path in (PUBLISHED / "records").iterdir())
    done = [retraining(name, 0, claims(name)[0], 0.1 if name == OWN else claims(name)[0]) for name in names]
    (said,) = audit_statements(put(copy, audit(done, own=OWN_TOO)))
    assert figures(said) == [8, 7, 1, 95, 47.1]
    assert OWN in said
    assert pytest.approx(0.05, abs=5e-4) == (1 - 0.471) ** 8 + 8 * 0.471 * (1 - 0.471) ** 7


def test_page_bounds_rows_where_all_their_seeds_were_trained_again(copy: Path) -> None:
    """By hand: two of eight rows drawn miss five wrong ones in 3 of 28 draws, six in 1 of 28, below 5 in 100.

    Must differ: a row less one seed is not known to be clean, and a row that nobody could draw is in no bound.
    """
    both = [retraining(name, seed, it, it) for name in (OWN, SUBMITTED) for seed, it in claims(name).items()]
    (said,) = audit_statements(put(copy, audit(both, own=OWN_TOO)))
    assert figures(said) == [2, 8, 5, 8, 95]  # of two rows drawn of eight: at most five, with 95 % confidence
    (said,) = audit_statements(put(copy, audit(both[1:], own=OWN_TOO)))
    assert figures(said) == [2, 8, 95, 77.6, 8, 150]
    # Two drawn, one wrong: with seven wrong of eight 2 x 7 of 56 ordered draws show one or none, with eight none.
    wrong = [each.model_copy(update={"again": 0.1}) if each.method_id == OWN else each for each in both]
    (said,) = audit_statements(put(copy, audit(wrong, own=OWN_TOO)))
    assert figures(said) == [2, 8, 1, 1, 7, 8, 95]  # one agrees and one does not
    others = {path.name for path in (PUBLISHED / "records").iterdir()} - {OWN, SUBMITTED}
    stated = tuple(PassedOver(method_id=name, reason="a run takes nine days") for name in sorted(others))
    said, *left = audit_statements(put(copy, audit([both[0], both[-1]], passed_over=stated, own=OWN_TOO)))
    assert figures(said) == [2, 8, 95, 77.6, 150]
    assert len(left) == 6


def test_page_states_no_bound_where_shares_are_compared(copy: Path) -> None:
    """Five seeds of each row were trained again and counts compared, which no bound on runs speaks of."""
    names = sorted(path.name for path in (PUBLISHED / "records").iterdir())
    every = [retraining(name, seed, it, it) for name in names for seed, it in claims(name).items()]
    (said,) = audit_statements(put(copy, audit(every, SOLVED, own=OWN_TOO)))
    assert "Boschloo" in said
    assert figures(said) == [8]


@pytest.mark.parametrize("name", ["delayed_xor_v1", "delayed_xor_rules_v1", "yin_yang_v1"])
def test_published_page_bounds_what_one_seed_a_row_can(name: str) -> None:
    """Of the first two all five seeds of each row were trained again and shares compared, as their audits say."""
    folder = PUBLISHED.parent / name
    given = read_audit(folder, [])
    assert given is not None
    assert given.tolerance is not None
    (said,) = [line for line in (folder / "table.md").read_text().splitlines() if "one seed or more" in line]
    by_shares = given.tolerance.solved_from is not None
    assert ("Boschloo" in said, "confidence" in said) == (by_shares, not by_shares)
    assert by_shares == (name != "yin_yang_v1")


def test_claims_that_are_not_the_records_are_found(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An audit that states another claim than the record, or speaks of no record, is a finding."""
    put(copy, audit([retraining(OWN, 0, 0.5, 0.5), retraining("f" * 12, 0, 0.5, 0.5)]))
    assert main(["board", "check", "--root", str(copy)]) == 1
    out = capsys.readouterr().out
    assert lines_naming(out, "0.5", OWN, "seed 0", f"{claims(OWN)[0]:.9g}")
    assert lines_naming(out, "ffffffffffff", "seed 0")


def test_scores_of_weights_on_fresh_samples_stand_beside(copy: Path) -> None:
    """A line of its own section; without any there is no such section."""
    assert "samples drawn anew" not in to_markdown(board(copy), layout="leaderboards")
    fresh = FreshScore(
        method_id=SUBMITTED,
        draw=20260101,
        seeds=(0, 1),
        claimed=0.9,
        fresh=0.8,
        samples=360,
        commit=None,
        created_utc="2026-01-01T00:00:00Z",
    )
    page = to_markdown(put(copy, audit([], fresh=(fresh,))), layout="leaderboards")
    section = page.partition("## Stored weights on samples drawn anew")[2].partition("## ")[0]
    assert f"| {SUBMITTED} | 20260101 | 2 | 360 | 90.00 | 80.00 |" in section


@pytest.mark.one_in(4)
@pytest.mark.parametrize("content", ["{", '{"schema_version": 1}', "[]"])
def test_unreadable_audit_is_a_finding(copy: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and the board goes on without it."""
    (copy / "digits_v1" / AUDIT).write_text(content)
    assert main(["board", "check", "--root", str(copy)]) == 1
    assert f"problem: {copy / 'digits_v1' / AUDIT}: " in capsys.readouterr().out


BOARDS = sorted(path.parent for path in PUBLISHED.parent.glob("*/table.csv"))
FAILED = {("fsdd_v2", "4c6ec4b1c5ba"), ("delayed_xor_v2", "b36840f69c7b")}
"""Rows whose drawn seed gave something else, and that have no rank: docs/submissions.md says why."""


@pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: folder.name)
def test_published_rows_were_trained_again(folder: Path) -> None:
    """Every row of every board had a seed trained again, or a reason is stated; those that failed are known."""
    provenances = read_provenances(folder)
    rows = {name: provenances.of(name) for name in StoredRecords(folder).rows()}
    left = {
        name
        for name, provenance in rows.items()
        if not (provenance.is_trained_again or provenance.passed_over or provenance.failed)
    }
    loose = {name for name in left if (repeats := rows[name].repeats) and repeats.outcome == "loose"}
    assert left == loose
    assert len(loose) == (6 if folder.name == "delayed_xor_v1" else 0)  # what was handed in there
    assert {(folder.name, name) for name, each in rows.items() if each.failed} <= FAILED


def test_each_trained_seed_is_doctored_once() -> None:
    """By hand: claimed within 1 point and 4 points too low; moved by 6 of 3 allowed, 7 and 2 points are too many.

    The second seed was trained on three engines and is one of three draws all the same.
    """
    low = [retraining(OWN, 1, 0.86, 0.90, engine) for engine in ("fused", "scan", "reference")]
    done = [retraining(OWN, 0, 0.91, 0.90), *low, retraining(SUBMITTED, 0, 0.80, 0.80)]
    curve = {point.amount: point for point in detection_curve(audit(done))}
    assert [(curve[m].caught, curve[m].drawn) for m in (0.0, 1.0, 2.0, 3.0)] == [(1, 3), (1, 3), (2, 3), (3, 3)]
    assert lines_naming(curve[2.0], "2 tolerances", "66.7 %", "2 of 3")
    assert [(curve[m].movable, curve[m].caught_movable) for m in (2.0, 3.0)] == [(3, 2), (3, 3)]
    # Ranges of several engines acquit what lies inside: .80 to .99 hides a claim of .90 moved by six points.
    wide = [retraining(OWN, 0, 0.90, 0.80), retraining(OWN, 0, 0.90, 0.99, "scan")]
    assert [point.caught for point in detection_curve(audit(wide)) if point.amount == 2.0] == [0]


def test_no_claim_is_doctored_beyond_a_perfect_score() -> None:
    """By hand: 98 % moved by two times three points is 100 %, two points above what the seed gave again: it passes.

    Of three draws one cannot be moved by six points. A perfect score is two points too many for none but the first;
    the third claims it honestly. A loss of 0.05 stops at 0.
    """
    done = [retraining(OWN, 0, 0.98, 0.98), retraining(OWN, 1, 0.80, 0.80), retraining(SUBMITTED, 0, 1.0, 1.0)]
    point = next(point for point in detection_curve(audit(done)) if point.amount == 2.0)
    assert (point.caught, point.drawn, point.movable, point.caught_movable) == (1, 3, 1, 1)
    assert lines_naming(point, "(1 of 3)", "1 can be doctored", "1 are caught")
    assert perfect_claims(audit(done)) == (2, 1)
    losses = [retraining(OWN, 0, 0.05, 0.02), retraining(OWN, 1, 0.05, 0.05)]
    by_loss = audit(losses, measure="loss")
    point = next(point for point in detection_curve(by_loss) if point.amount == 2.0)
    assert (point.caught, point.movable) == (1, 0)
    assert perfect_claims(by_loss) == (1, 0)


def test_solved_seeds_are_doctored_by_seed_beside_the_honest_difference() -> None:
    """By hand: 4 of 5 claimed as solved, none again; with the fifth that is 5 of 5 against 0 of 5, which is caught.

    4 against 0 is not (p 0.02 by Boschloo). Each seed ran on two engines and counts once. The other row solves all.
    """
    row = [
        retraining(OWN, seed, 0.5 if seed == 4 else 1.0, 0.5, engine)
        for seed in range(5)
        for engine in ("fused", "scan")
    ]
    solved = [retraining(SUBMITTED, seed, 1.0, 1.0) for seed in range(5)]
    points = detection_curve(audit([*row, *solved], SOLVED))
    assert [(each.caught, each.drawn, each.movable) for each in points] == [(0, 2, 2), (1, 2, 1), *[(1, 2, 0)] * 4]
    assert perfect_claims(audit([*row, *solved], SOLVED)) == (1, 1)


def test_document_tells_how_many_rows_agree() -> None:
    """What docs/submissions.md says of all boards is counted from their audits and records."""
    counts = {"agree": 0, "do not": 0, "loose": 0, "unfinished": 0}
    for folder in BOARDS:
        provenances = read_provenances(folder)
        for name in StoredRecords(folder).rows():
            provenance = provenances.of(name)
            agrees = "agree" if provenance.is_trained_again else "loose" if provenance.repeats else "unfinished"
            counts["do not" if provenance.failed else agrees] += 1
    agree, other, loose, unfinished = counts.values()
    said = (
        f"Of {sum(counts.values())} rows on {len(BOARDS)} boards, {agree} agree with their records, {other} do "
        f"not, {loose} are not repeatable closely enough to rank, and {unfinished} have no finished seed."
    )
    text = (PUBLISHED.parents[1] / "docs" / "submissions.md").read_text()
    assert said in " ".join(text.split())
    assert all(f"({name})" in text for _, name in FAILED)


def test_document_tells_what_a_submission_takes() -> None:
    """Means over a board's submissions of all bytes in its store; a hundred of them in docs/registry.md."""
    sizes_kb = [
        sum(path.stat().st_size for path in (folder / "objects").rglob("*") if path.is_file())
        / (1000 * len(list((folder / "submissions").iterdir())))
        for folder in BOARDS
        if (folder / "submissions").is_dir()
    ]
    low, high = min(sizes_kb), max(sizes_kb)
    text = " ".join((PUBLISHED.parents[1] / "docs" / "registry.md").read_text().split())
    assert f"{low / 10:.0f} to {high / 10:.0f} MB of predictions" in text
    assert f"({low:.0f} to {high:.0f} kB each" in text
    assert f"{len(sizes_kb)} boards" in text


def test_document_tells_what_an_audit_can_miss() -> None:
    """The table and the sentences of docs/submissions.md are computed from the audits, with claims that can be."""
    lines, moved, shares = [], [0, 0, 0], [0, 0]
    for folder in BOARDS:
        given = read_audit(folder, [])
        assert given is not None
        tolerance = tolerance_in_use(given)
        assert tolerance is not None
        curve = {point.amount: point for point in detection_curve(given)}
        passing, honest = perfect_claims(given)
        allowed = tolerance.score
        apart = f"{allowed:.3f} in loss" if given.measure == "loss" else f"{100 * allowed:.1f} points"
        if tolerance.solved_from is not None:
            apart = "shares"
            shares = [shares[0] + curve[5].caught_movable, shares[1] + curve[5].movable]
        else:
            twice = curve[2.0]
            counted = (twice.movable, twice.drawn, twice.caught_movable)
            moved = [a + b for a, b in zip(moved, counted, strict=True)]
        assert curve[0].share < 0.1
        if passing:
            lines.append(f"| `{given.protocol}` | {apart} | {passing} of {curve[0].drawn} | {honest} |")
    text = (PUBLISHED.parents[1] / "docs" / "submissions.md").read_text()
    table = text.partition("| in its record |\n| --- | --- | --- | --- |\n")[2].partition("\n\n")[0]
    assert table.splitlines() == lines
    said = " ".join(text.split())
    assert "{} of {} draws. {} of these".format(*moved) in said
    assert "{} of the {} rows".format(*shares) in said
