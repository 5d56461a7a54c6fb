"""Repeats one drawn seed of the boards on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.rows import Measured
from sgbench.records.audit import AuditSession, Repetition, Retraining
from sgbench.records.files import first_problem
from sgbench.statistics.sampling import drawn
from sgbench.submissions.draws import number_for, seed_for
from sgbench.submissions.verify.verdict import recompose
from sgbench.training.build import build
from sgbench.training.provenance import Code
from sgbench.training.runner import run_spec

MINUTE_S = 60.0


@dataclass(frozen=True)
class DrawnSeed:
    """Names a row of a board and its seed that a draw picks, with the number that drew it."""

    method: Measured
    seed: int
    number: int

    @property
    def protocol(self) -> str:
        return self.method.method.protocol.name


def draw_one(
    ranked: Mapping[str, Sequence[Measured]], *, by: str, day: str, minutes: float, references: References
) -> DrawnSeed:
    """Draw a row of all boards, and a seed of it, that this machine can train within some minutes.

    `ranked`: maps protocols to the methods that their boards rank. `by`: who trains, whose name draws. `day`: of the
    draw, UTC, as 2026-12-02. `minutes`: longest training, as the records say. `references`: references of the
    protocols.
    """
    number = number_for(by, day)
    rows = {f"{protocol} {method.method_id}": method for protocol, methods in ranked.items() for method in methods}
    for name in drawn(list(rows), number):
        row = rows[name]
        finished = row.scores.keys() - {*row.failed_seeds}
        takes_s = row.costs.training_s
        is_further_source = "-" in row.method_id  # of a user's own classes, which the method's id does not tell
        if not finished or takes_s is None or takes_s > MINUTE_S * minutes or is_further_source:
            continue
        seed = seed_for(row.method.protocol.name, row.method_id, finished, number)
        if _has_data(row, seed, references):
            return DrawnSeed(row, seed, number)
    raise InputError(f"no row whose data are here is trained within {minutes:g} min; allow more with --minutes")


def _has_data(row: Measured, seed: int, references: References) -> bool:
    try:
        data = build(recompose(row.method, seed, runs_dir=Path(), references=references)).data
    except InputError:  # a class or a library that this machine lacks
        return False
    return data.data_set.missing(data.data_dir) is None


def repeat(run: DrawnSeed, *, by: str, runs_dir: Path, references: References) -> Repetition:
    """Train a drawn seed again, and return the repetition to hand in, in the name `by`.

    If `runs_dir` has the finished run already, it is read instead.
    """
    record = run_spec(recompose(run.method.method, run.seed, runs_dir=runs_dir, references=references))
    measure, code = references.of(run.protocol).measure, Code.here()
    retraining = Retraining(
        method_id=run.method.method_id,
        seed=run.seed,
        claimed=run.method.scores[run.seed],
        again=measure.of(record.test),
        engine=record.provenance.engine,
    )
    try:
        session = AuditSession(
            verifier=by,
            draw=run.number,
            commit=code.commit,
            versions=code.versions,
            processor=code.processor,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            retrainings=(retraining,),
        )
    except ValidationError as error:
        raise InputError(f"--by: {first_problem(error)}") from error
    return Repetition(schema_version=1, protocol=run.protocol, session=session)
