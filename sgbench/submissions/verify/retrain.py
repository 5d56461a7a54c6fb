"""Retrains a submission from the entries and numbers of its method."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.repeats import judge_claims, tolerance_for
from sgbench.records.audit import Repeatability, Retraining
from sgbench.records.method import method_id
from sgbench.records.spec import Method
from sgbench.submissions.verify.outcome import TierOutcome, outcome, score_of
from sgbench.submissions.verify.recompose import recompose
from sgbench.training.runner import run_spec


def retrain(
    where: str,
    method: Method,
    claims: Mapping[int, float],
    *,
    references: References,
    repeatability: Repeatability | None = None,
) -> TierOutcome:
    """Train seeds of a method again in temporary folders, and hold each against its own claim.

    `where`: name of the submission, for messages. `method`: the submitted method. `repeatability`: how far honest runs
    of a seed lie apart on the protocol's board; None if that is not known.
    """
    measure, done = references.of(method.protocol.name).measure, []
    for seed, claimed in claims.items():
        with tempfile.TemporaryDirectory(prefix="sgbench-verify-") as folder:
            record = run_spec(recompose(method, seed, runs_dir=Path(folder), references=references))
        if record.test is None:
            reason = "" if record.failure is None else f": {record.failure.message}"
            raise InputError(f"{where}: re-training seed {seed} failed{reason}")
        again = score_of(record.test)
        done.append(
            Retraining(
                method_id=method_id(method), seed=seed, claimed=claimed, again=again, engine=record.provenance.engine
            )
        )
    judged, statement = judge_claims(done, repeatability, is_loss=measure.is_loss)
    scores: tuple[Sequence[float], Sequence[float]] = ([each.claimed for each in done], [each.again for each in done])
    allowed = tolerance_for(repeatability)
    return outcome("retrained", measure, judged == "agrees", list(claims), scores, statement, tolerance=allowed)
