"""Rows of a board repeated: which seeds a draw picks, what they gave again, and the file that says so."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from registry.fresh import fresh_score
from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.store.audits import AUDIT, LEAST_LOSS, by_method, read_audit, tolerance_of, verdicts
from sgbench.leaderboard.store.method_provenance import SUBMISSIONS, read_provenances
from sgbench.leaderboard.store.predictions import claim_of
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.repeats import LOOSE_LOSS, LOOSE_POINTS, handed_in_of, repeatability_of
from sgbench.leaderboard.store.stored import StoredRecords
from sgbench.leaderboard.store.tree import RecordTree, read_methods
from sgbench.records.audit import Audit, AuditSession, FreshScore, PassedOver, Repeatability, Repetition, Retraining
from sgbench.records.files import first_problem, to_json, write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, RunSpec
from sgbench.records.submission import Verification
from sgbench.statistics.sampling import drawn
from sgbench.submissions.draws import is_short, kept, number_of, promised, with_repetition
from sgbench.submissions.verify.verdict import mean, recompose
from sgbench.training.provenance import FAILURES, ask
from sgbench.training.run_folder import stored_record

Runner = Callable[[Sequence[RunSpec]], object]
"""Trains runs that are not finished yet, each into its own folder."""


@dataclass(frozen=True)
class AuditRow:
    """Holds a method of a board with the scores that its finished seeds claim."""

    method_id: str
    method: Method
    claims: dict[int, float]
    fit_s: float  # of one seed, as the records say
    processors: dict[int, str]  # of the records by seed


@dataclass(frozen=True)
class AuditRequest:
    """Says what of a board is trained again."""

    draw: int | None = None  # draws rows and seeds; by default the last commit, or of hand-ins the promised one
    rows: int | None = None  # how many of the rows, or None for all
    seeds: int = 1
    method: str = ""  # beginning of the ids that are looked at; all by default
    engine: str = "auto"  # on which they are trained


class BoardAudit:
    """Trains seeds of one board again, and keeps their scores in the board's audit, a file beside the records.

    `folder`: of the protocol, in a leaderboards folder. `runs_dir`: where runs are written; finished ones there are
    read, not repeated.
    """

    def __init__(self, folder: Path, *, references: References, runs_dir: Path) -> None:
        self.folder = folder
        self.references = references
        self.runs_dir = runs_dir
        self.waiting: dict[str, str] = {}  # maps hand-ins whose draw is not due to the reason
        self.rows = {row.method_id: row for row in _rows(folder, references)}
        if not self.rows:
            raise InputError(f"{folder}: no row to train again; name a board of a leaderboards folder")
        findings: list[Finding] = []
        audit = read_audit(folder, findings)
        if findings:
            raise InputError(f"{findings[0]}; restore it from the repository's history")
        submitted = [path.stem for path in (folder / SUBMISSIONS).glob("*.json")]
        self.handed_in = handed_in_of(audit, submitted)
        self.audit = audit or Audit(
            schema_version=1,
            protocol=folder.name,
            measure=self.reference.measure.kind,
            tolerance=None,
            sessions=(),
            passed_over=(),
        )

    @property
    def reference(self) -> ProtocolReference:
        return self.references.of(self.folder.name)

    def drawn(self, request: AuditRequest) -> list[tuple[AuditRow, int]]:
        """List the rows and seeds that a request draws."""
        method_ids = [method_id for method_id in self.rows if method_id.startswith(request.method)]
        if not method_ids:
            remedy = suggest(request.method, list(self.rows))
            raise InputError(f"--method {request.method}: no row of {self.folder} has such an id; {remedy}")
        protocol, number = self.folder.name, self.number(request)
        picked = drawn([f"{protocol} {method_id}" for method_id in method_ids], number)[: request.rows]
        rows = [self.rows[name.removeprefix(f"{protocol} ")] for name in picked]
        return [(row, seed) for row in rows for seed in self._seeds(row, request, number)]

    def number(self, request: AuditRequest) -> int:
        """Return the number that draws: the request's, or that of the repository's last commit, else the date's."""
        if request.draw is not None:
            return request.draw
        try:
            head = ask(self.folder, "rev-parse", "HEAD").decode().strip()
        except FAILURES:
            return int(datetime.now(UTC).strftime("%Y%m%d"))
        return number_of(head)

    def promise(self, method_id: str) -> bool:
        """Write once that the first commit to come draws a hand-in's seeds; return whether it was written."""
        if self._repeats_all() or any(draw.method_id == method_id for draw in self.audit.draws or ()):
            return False
        self.audit = promised(self.audit, method_id)
        self.write()
        return True

    def _repeats_all(self) -> bool:
        return is_short(row.fit_s for row in self.rows.values())

    def _seeds(self, row: AuditRow, request: AuditRequest, number: int) -> list[int]:
        """List the seeds of a row to train again.

        Of a submission by others these are all seeds if training is short, else those that the promised commit draws
        (none until it is there); of other rows, those that the number draws.
        """
        if row.method_id in self.handed_in and request.draw is None:
            if self._repeats_all():
                return list(row.claims)
            try:
                self.audit, draw = kept(self.audit, self.folder, row.method_id, row.claims)
            except InputError as error:
                if request.method:
                    raise
                self.waiting[row.method_id] = str(error)
                return []
            return list(draw.seeds)
        order = drawn([f"{self.folder.name} {row.method_id} {seed}" for seed in row.claims], number)
        return [int(name.rpartition(" ")[2]) for name in order[: request.seeds]]

    def left(self, request: AuditRequest) -> list[tuple[AuditRow, int]]:
        """List the rows and seeds that a request draws and that are not trained yet, on its engine if it names one."""
        done = {
            (method_id, retraining.seed)
            for method_id, pairs in by_method(self.audit).items()
            for _, retraining in pairs
            if request.engine in ("auto", retraining.engine)
        }
        return [(row, seed) for row, seed in self.drawn(request) if (row.method_id, seed) not in done]

    def specs(self, wanted: Iterable[tuple[AuditRow, int]], engine: str = "auto") -> list[RunSpec]:
        """Compose a run for each row and seed in `wanted`, by the catalogue and never by code of a submission.

        Runs of an engine other than "auto" go into a folder of its name.
        """
        runs_dir = self.runs_dir if engine == "auto" else self.runs_dir / engine
        return [
            recompose(row.method, seed, runs_dir=runs_dir, references=self.references).model_copy(
                update={"engine": engine}
            )
            for row, seed in wanted
        ]

    def train(self, request: AuditRequest, *, verifier: str, runner: Runner) -> list[Retraining]:
        """Train again what is left of a request, write the audit, and return the retrainings that were added.

        If this is interrupted, the same request goes on with the runs that are not finished in the runs folder.
        """
        for name in self.handed_in & self.rows.keys():
            if name.startswith(request.method) and request.draw is None:
                self.promise(name)
        before = self.audit
        wanted = self.left(request)
        if self.audit != before:  # a draw is told whatever becomes of its trainings
            self.write()
        if not wanted:
            return []
        specs = self.specs(wanted, request.engine)
        runner(specs)
        records = [stored_record(spec) for spec in specs]
        trained = [(row, record) for (row, _), record in zip(wanted, records, strict=True) if record is not None]
        if not trained:
            raise InputError(f"{self.folder}: none of {len(wanted)} runs could be made")
        sessions = self._sessions(trained, self.number(request), verifier)
        self.audit = self.audit.model_copy(update={"sessions": (*self.audit.sessions, *sessions)})
        if self.audit.tolerance is None and request.method == "":
            self._set_tolerance()
        self.write()
        return [retraining for session in sessions for retraining in session.retrainings]

    def pass_over(self, request: AuditRequest, reason: str) -> None:
        """Write why one row has a rank without being trained again."""
        known = StoredRecords(self.folder).rows()  # those without a finished seed too
        method_id = next((name for name in known if name.startswith(request.method)), None)
        if method_id is None:
            remedy = suggest(request.method, known)
            raise InputError(f"--method {request.method}: no row of {self.folder} has such an id; {remedy}")
        try:
            note = PassedOver(method_id=method_id, reason=reason)
        except ValidationError as error:
            raise InputError(f"--pass-over: {first_problem(error)}") from error
        other_notes = [note for note in self.audit.passed_over if note.method_id != method_id]
        self.audit = self.audit.model_copy(update={"passed_over": (*other_notes, note)})
        self.write()

    def take(self, repetition: Repetition) -> Path:
        """Add a seed that somebody else repeated on another processor to the audit, and return the audit's path."""
        (retraining,) = repetition.session.retrainings
        method_id = retraining.method_id
        row = self.rows.get(method_id)
        if row is None:
            raise InputError(f"{self.folder}: has no row {method_id}; {suggest(method_id, list(self.rows))}")
        submission = read_provenances(self.folder).of(method_id).submission
        whose = () if submission is None else (submission.name, submission.contact)
        self.audit = with_repetition(self.audit, repetition, claims=row.claims, processors=row.processors, whose=whose)
        return self.write()

    def score_fresh(self, request: AuditRequest) -> list[FreshScore]:
        """Score stored weights on samples that the request's number draws, write the scores, and return them.

        Rows without weights, and tasks of which each draw would be another task, have no score.
        """
        number = self.number(request)
        done = {score.method_id for score in self.audit.fresh if score.draw == number}
        wanted = {row.method_id: row for row, _ in self.drawn(request) if row.method_id not in done}
        scores = []
        for row in wanted.values():
            score = fresh_score(self.folder, row.method, row.claims, number, self.references)
            if score is not None:  # written one by one, so that an interrupted command goes on
                scores.append(score)
                self.audit = self.audit.model_copy(update={"fresh": (*self.audit.fresh, score)})
                self.write()
        return scores

    def verdicts(self) -> list[Verification]:
        """List the verification of each method with enough retrained seeds."""
        return list(verdicts(self.audit, self.handed_in))

    def failed(self) -> list[str]:
        """List the methods that do not agree with their records."""
        return [verdict.method_id for verdict in self.verdicts() if not verdict.passed]

    def write(self) -> Path:
        self.audit = self.audit.model_copy(update={"repeatability": self.repeatability()})
        path = self.folder / AUDIT
        write_atomic(path, to_json(self.audit))
        return path

    def _sessions(self, trained: Sequence[tuple[AuditRow, RunRecord]], draw: int, verifier: str) -> list[AuditSession]:
        """Make a session for each commit, processor and set of library versions that runs were trained with."""
        groups: dict[tuple[object, ...], list[tuple[AuditRow, RunRecord]]] = {}
        for row, record in trained:
            made_by = record.provenance
            key = (made_by.commit, made_by.processor, *sorted(made_by.versions.items()))
            groups.setdefault(key, []).append((row, record))
        return [self._session(group, draw, verifier) for group in groups.values()]

    def _session(self, trained: Sequence[tuple[AuditRow, RunRecord]], draw: int, verifier: str) -> AuditSession:
        """Make the session of runs that were made by the same code on the same processor."""
        made_by = trained[0][1].provenance
        retrainings = tuple(
            Retraining(
                method_id=row.method_id,
                seed=record.seed,
                claimed=row.claims[record.seed],
                again=self.reference.measure.of(record.test),
                engine=record.provenance.engine,
            )
            for row, record in trained
        )
        return AuditSession(
            verifier=verifier,
            draw=draw,
            commit=made_by.commit,
            versions=made_by.versions,
            processor=made_by.processor,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            retrainings=retrainings,
        )

    def repeatability(self) -> Repeatability:
        """Compute how far honest runs of a seed lie apart on two kinds of processor, from the maintainers' rows."""
        own, measure = self._own(), self.reference.measure
        done = [pair for name, pairs in by_method(self.audit).items() if name in own for pair in pairs]
        processors = {(name, seed): kind for name, row in own.items() for seed, kind in row.processors.items()}
        loose = LOOSE_LOSS * self._guess() if measure.is_loss else LOOSE_POINTS
        return repeatability_of(done, processors, least=self._least(own.values()), loose=loose)

    def _own(self) -> dict[str, AuditRow]:
        return {name: row for name, row in self.rows.items() if name not in self.handed_in}

    def _least(self, rows: Iterable[AuditRow]) -> float:
        """Return the smallest difference of two scores that counts: one test sample, or 1 % of the mean loss."""
        if not self.reference.measure.is_loss:
            return 1 / self.reference.test_samples
        losses = [score for row in rows for score in row.claims.values()]
        return LEAST_LOSS * (mean(losses) if losses else self._guess())

    def _guess(self) -> float:
        return self.reference.measure.guess if math.isfinite(self.reference.measure.guess) else 0.0

    def _set_tolerance(self) -> None:
        """Set the tolerance of a repeated seed from the differences of the maintainers' retrained rows."""
        measure, own = self.reference.measure, self._own()
        if not own:
            return
        differences = [
            retraining.again - retraining.claimed
            for name, pairs in by_method(self.audit).items()
            if name in own
            for _, retraining in pairs
        ]
        tolerance = tolerance_of(
            differences,
            [list(row.claims.values()) for row in own.values()],
            least=self._least(own.values()),
            solved_from=self.reference.protocol.solved_from or (1 + measure.guess) / 2,
            widest=float("inf") if measure.is_loss else (1 - measure.guess) / 2,
        )
        self.audit = self.audit.model_copy(update={"tolerance": tolerance})


def _rows(folder: Path, references: References) -> Iterable[AuditRow]:
    """Yield the rows of a board that can be trained again: of one source, with a finished seed, not withdrawn."""
    provenances = read_provenances(folder)
    for group in read_methods(RecordTree(folder.parent, "leaderboards", references, only=folder.name)):
        if isinstance(group, Finding) or group.row_id != group.records[0].method_id:
            continue  # left out; or a further source of one's own classes: what is verified is said of a method
        claims = {record.seed: claim.score for record in group.records if (claim := claim_of(record))}
        if claims and provenances.of(group.row_id).notice is None:
            times_s = [record.timing.fit_s for record in group.records]
            processors = {record.seed: record.provenance.processor for record in group.records}
            yield AuditRow(group.row_id, group.records[0].method, claims, mean(times_s), processors)
