"""Checks a submission as CI does; nothing in it is imported, unpickled, instantiated or followed."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from sgbench.errors import InputError, one_printable_line, printable
from sgbench.leaderboard.deviation import ProtocolReference, References, deviation
from sgbench.leaderboard.store.predictions import (
    Judge,
    Outputs,
    PredictionTable,
    claim_of,
    parse_prediction_table,
    require_claim,
    targets_apart,
)
from sgbench.records.files import parse_model, read_bytes, to_json
from sgbench.records.record import RunRecord
from sgbench.records.submission import ExternalRecord, Submission, TuningLog
from sgbench.submissions.copies import copied_seeds, copied_weights, copy_problems
from sgbench.submissions.folder import (
    FOLDERS,
    SUBMISSION,
    TUNING,
    Contents,
    Problem,
    list_contents,
    markup_keys,
    markup_message,
)
from sgbench.submissions.head import file_list_problems, header_problems
from sgbench.submissions.plausible import consistency_problems
from sgbench.submissions.tuning import log_problems, unconfirmed
from sgbench.submissions.weights import parse_weights, require_fit
from sgbench.training import provenance

GIT_S = 10.0
OURS = "fastspiking/version.py"
"""A file in every commit of sgbench."""


def unknown_commits(commits: Iterable[str], folder: Path) -> Iterator[str]:
    """Yield the commits, given in 40 hexadecimal digits, that are not in the history of the checkout of `folder`.

    Nothing is yielded unless the folder is in a checkout of sgbench with its whole history.
    """
    if not folder.is_dir() or not has_history(folder):
        return
    for commit in dict.fromkeys(commits):
        if not _succeeds(folder, "merge-base", "--is-ancestor", commit, "HEAD"):
            yield commit


def has_history(folder: Path) -> bool:
    """Return whether a folder is in a checkout of sgbench with its whole history."""
    try:
        shallow = provenance.ask(folder, "rev-parse", "--is-shallow-repository", timeout_s=GIT_S).decode().strip()
    except provenance.FAILURES:
        return False
    return shallow == "false" and _succeeds(folder, "cat-file", "-e", f"HEAD:{OURS}")


def _succeeds(folder: Path, *arguments: str) -> bool:
    try:
        provenance.ask(folder, *arguments, timeout_s=GIT_S)
    except provenance.FAILURES:
        return False
    return True


Result = RunRecord | ExternalRecord
MAX_MESSAGE = 400


@dataclass(frozen=True)
class Checked:
    """Holds a submission and its problems; `submission` is None if submission.json cannot be read."""

    submission: Submission | None
    records: tuple[Result, ...]
    problems: tuple[Problem, ...]

    def refused(self, *, strict: bool) -> bool:
        """Return whether the submission is refused; with `strict`, warnings refuse it too."""
        return any(strict or problem.level == "error" for problem in self.problems)


def check(root: Path, *, references: References, judge: Judge, board: Path | None = None) -> Checked:
    """Check a submission's folder, and list its problems.

    `root`: the folder. `references`: references of protocols. `judge`: computes what needs data sets, losses and
    networks. `board`: a leaderboards folder that is searched for equal or similar submissions, and whose checkout must
    have the named commits; None skips both.
    """
    contents, problems = list_contents(root)
    submission = _submission(contents, problems)
    if submission is None:
        return Checked(None, (), tuple(problems))
    problems += file_list_problems(contents, submission)
    problems += _markup_problems(SUBMISSION, submission)
    reference = _reference(submission, references, problems)
    if reference is None:
        return Checked(submission, (), tuple(problems))
    problems += header_problems(submission, reference)
    checked = _FileCheck(contents, submission, reference, judge, problems)
    checked.read()
    if board is not None:
        problems += _commit_problems(submission, checked.records.values(), board)
        problems += copy_problems(
            submission, checked.records, checked.predictions, reference, board / submission.protocol
        )
    return Checked(submission, tuple(checked.records.values()), tuple(problems))


def _submission(contents: Contents, problems: list[Problem]) -> Submission | None:
    """Read submission.json; None without a valid one, with the problem added to `problems`."""
    path = contents.files.get(SUBMISSION)
    if path is None:
        problems.append(Problem("missing", SUBMISSION, "is missing; make the folder with: sgbench submit make"))
        return None
    try:
        return parse_model(read_bytes(path), Submission, SUBMISSION)
    except InputError as error:
        problems.append(_problem("schema", SUBMISSION, error))
        return None


def _markup_problems(path: str, stored: BaseModel) -> Iterator[Problem]:
    for key in markup_keys(stored.model_dump()):
        yield Problem("text", path, markup_message(key)[:MAX_MESSAGE])


def _problem(code: str, path: str, error: InputError) -> Problem:
    return Problem(code, path, one_printable_line(error).removeprefix(f"{path}: ")[:MAX_MESSAGE])


def _reference(submission: Submission, references: References, problems: list[Problem]) -> ProtocolReference | None:
    try:
        return references.of(submission.protocol)
    except InputError as error:
        problems.append(_problem("protocol", SUBMISSION, error))
        return None


def _commit_problems(submission: Submission, records: Iterable[Result], board: Path) -> Iterator[Problem]:
    """Warn of each commit that the submission or its records name and that this repository has not."""
    environment = submission.environment
    stated = [None if environment is None else environment.commit]
    stated += [record.provenance.commit for record in records if isinstance(record, RunRecord)]
    for commit in unknown_commits(filter(None, stated), board):
        message = f"commit {commit[:12]} is none of this repository's; run from a commit of its history"
        yield Problem("commit", SUBMISSION, message, "warning")


class _FileCheck:
    """Checks all files of one submission, and collects its records, predictions and problems."""

    def __init__(
        self,
        contents: Contents,
        submission: Submission,
        reference: ProtocolReference,
        judge: Judge,
        problems: list[Problem],
    ) -> None:
        self.contents = contents
        self.submission = submission
        self.reference = reference
        self.judge = judge
        self.problems = problems
        self.records: dict[int, Result] = {}
        self.predictions: dict[int, PredictionTable] = {}
        self.buildable = False  # whether the method's network can be built

    def read(self) -> None:
        """Check the records, then the files that belong to them, then the tuning log."""
        seeds = self.contents.seeds("records")
        for seed in self.submission.seeds:
            if seed not in seeds:
                self._report("complete", f"records/{seed}.json", "is missing; failed seeds are handed in too")
        for seed in seeds:
            self._attempt("record", f"records/{seed}.json", self._record, seed)
        self._build()
        for seed in sorted(self.records):
            self._artefact("predictions", seed, self._predictions)
            self._artefact("weights", seed, self._weights)
        for kind in ("predictions", "weights"):
            for seed in sorted({*self.contents.seeds(kind)} - self.records.keys() - {*seeds}):
                path = f"{kind}/{seed}.{FOLDERS[kind].suffix}"
                self._report("complete", path, "has no record; remove it")
        self._tuning()
        self.problems += copied_seeds(self.predictions, outside=self.submission.division == "external")
        self.problems += copied_weights(self.records)
        self.problems += self._labels()

    def _build(self) -> None:
        """Report if the method's network cannot be built; its weights are then not held against a network."""
        method = self.submission.method
        if method is None or not self.records:
            return
        reason = self.judge.impossible(method)
        self.buildable = reason is None
        if reason is not None:
            message = f"nothing can be built from the method: {printable(reason)}"
            self._report("method", SUBMISSION, message[:MAX_MESSAGE])

    def _artefact(self, kind: str, seed: int, read: Callable[[str, int], None]) -> None:
        """Check that a finished run has its predictions or weights, and that other runs and outside code have none.

        `kind` is "predictions" or "weights", and `read` checks the file.
        """
        path = f"{kind}/{seed}.{FOLDERS[kind].suffix}"
        has_no_weights = self.submission.division == "external" and kind == "weights"
        is_needed = self.records[seed].status == "finished" and not has_no_weights
        if path in self.contents.files and is_needed:
            self._attempt(kind, path, read, seed)
        elif is_needed:
            self._report("complete", path, "is missing; make the folder anew")
        elif path in self.contents.files:
            self._report("complete", path, "belongs to no finished run of this kind; remove it")

    def _report(self, code: str, path: str, message: str) -> None:
        self.problems.append(Problem(code, path, message))

    def _attempt(self, code: str, path: str, read: Callable[[str, int], None], seed: int) -> None:
        try:
            read(path, seed)
        except InputError as error:
            self.problems.append(_problem(code, path, error))

    def _bytes(self, path: str) -> bytes:
        return read_bytes(self.contents.files[path], limit=FOLDERS[path.partition("/")[0]].max_bytes)

    def _record(self, path: str, seed: int) -> None:
        """Read the record of a seed into `records`, unless it belongs elsewhere or deviates from its protocol."""
        model = ExternalRecord if self.submission.division == "external" else RunRecord
        data = self._bytes(path)
        record = parse_model(data, model, path)
        stated = (record.protocol, record.method_id, record.seed)
        if stated != (self.submission.protocol, self.submission.method_id, seed):
            run = f"{record.protocol} {record.method_id} seed {record.seed}"
            raise InputError(f"{path}: is of {run}; hand in one method's own records")
        if seed not in self.submission.seeds:
            raise InputError(f"{path}: seed {seed} is not declared; remove its files")
        if isinstance(record, RunRecord):
            reason = deviation(record, self.reference)
            if reason is not None:
                raise InputError(f"{path}: {reason}")
            if record.method != self.submission.method:
                raise InputError(f"{path}: its method is written otherwise than in submission.json; make it anew")
            for message in consistency_problems(record):
                self._report("plausible", path, message)
            self.problems += _markup_problems(path, record)
        if to_json(record) != data:
            # The store writes records in this form, and must return the bytes with the hash in submission.json.
            message = "is laid out otherwise than a run writes it; hand in the run's own file"
            self._report("layout", path, message)
        self.records[seed] = record

    def _predictions(self, path: str, seed: int) -> None:
        """Read a seed's predictions, which must be those of its record and score what the record claims."""
        record = self.records[seed]
        data = self._bytes(path)
        if hashlib.sha256(data).hexdigest() != record.predictions_sha256:
            raise InputError(f"{path}: is not the file that its record names; hand in the run's own")
        predictions = parse_prediction_table(data, path, self.reference)
        claim = claim_of(record)
        assert claim is not None  # noqa: S101 - it is finished
        expected = self.reference.test_samples
        if claim.samples != expected:
            raise InputError(f"{path}: the test set has {expected} samples, not {claim.samples}")
        loss = self.judge.loss_of(predictions, self.reference) if isinstance(predictions, Outputs) else None
        require_claim(predictions, claim, path, loss=loss)
        self.predictions[seed] = predictions

    def _weights(self, path: str, seed: int) -> None:
        """Read a seed's weights, which must be those of its record and fit its network."""
        record = self.records[seed]
        assert isinstance(record, RunRecord)  # noqa: S101 - weights of others are refused before
        data = self._bytes(path)
        if hashlib.sha256(data).hexdigest() != record.weights_sha256:
            raise InputError(f"{path}: is not the file that its record names; hand in the run's own")
        require_fit(parse_weights(data, path), record, path)
        misfit = self.judge.misfit(record, data, path) if self.buildable else None
        if misfit is not None:
            self._report("network", f"records/{seed}.json", misfit)

    def _labels(self) -> Iterator[Problem]:
        """Yield a problem for each seed whose targets are not the data set's.

        Without the data set they are compared with those of the first seed, unless each seed draws its own data.
        """
        per_seed = self.reference.protocol.draw == "per_seed"
        first = None if per_seed else next(iter(self.predictions.values()), None)
        for seed, predictions in self.predictions.items():
            truth = self.judge.wanted(self.reference, seed)
            source = "the first seed's" if truth is None else "the data set's"
            path = f"predictions/{seed}.csv"
            try:
                differing = targets_apart(predictions, truth or first or predictions, path)
            except InputError as error:
                yield _problem("labels", path, error)
                continue
            if differing:
                noun = "targets" if self.reference.classes is None else "labels"
                yield Problem("labels", path, f"{differing} of its {noun} are not {source}")

    def _tuning(self) -> None:
        """Check the log of the search for settings against the submission, the method and the protocol."""
        path = self.contents.files.get(TUNING)
        method = self.submission.method
        if method is None:
            if path is not None:
                self._report("tuning", TUNING, "cannot be checked for code outside the catalogue; remove it")
            return
        if path is None:
            self._report("complete", TUNING, "is missing; an untuned method hands in an empty log")
            return
        try:
            log = parse_model(read_bytes(path), TuningLog, TUNING)
        except InputError as error:
            self.problems.append(_problem("tuning", TUNING, error))
            return
        self.problems += _markup_problems(TUNING, log)
        if (log.protocol, log.method_id) != (self.submission.protocol, self.submission.method_id):
            self._report("tuning", TUNING, "is the log of another method; make the folder anew")
            return
        tried, stated = len({trial.method_id for trial in log.trials}), self.submission.tuning_trials
        if tried != stated:
            self._report("tuning", TUNING, f"holds {tried} settings, submission.json says {stated}")
        for code, message in log_problems(log, method, self.reference):
            self._report(code, TUNING, message)
        doubt = unconfirmed(log, self.reference.protocol)
        if doubt is not None:
            self.problems.append(Problem("tuning", TUNING, doubt, "warning"))
        self.problems += self._own_trials(log)

    def _own_trials(self, log: TuningLog) -> Iterator[Problem]:
        """Yield a problem for each trial of the submitted method whose scores are not those of its record."""
        for trial in log.trials:
            record = self.records.get(trial.seed)
            if trial.method_id != log.method_id or not isinstance(record, RunRecord):
                continue
            scores = record.validation
            stated = (trial.status, trial.validation_accuracy, trial.validation_loss)
            if stated != (record.status, scores and scores.accuracy, scores and scores.loss):
                yield Problem("tuning", TUNING, f"says otherwise of seed {trial.seed} than its record; make it anew")
