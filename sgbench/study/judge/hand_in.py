"""Make submissions of a judged candidate, with the seeds that boards require."""

from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, deviation
from sgbench.records.record import RunRecord
from sgbench.study.cells import Cell
from sgbench.study.judge.trial import OWN_BEST, Court, TaskTrial
from sgbench.submissions.make import Author, SubmissionSummary, comparable_runs, make
from sgbench.submissions.tuning import best, make_log


def hand_in(court: Court, to: Path, author: Author, references: References) -> tuple[str, ...]:
    """Make a submission to a board for each task whose protocol accepts the candidate's runs.

    A board requires more than a verdict: each tried setting with all tuning seeds of the protocol, and the selected
    setting with the protocol's smallest set of reporting seeds. Missing runs are trained. Returns a line for each task,
    with the folder of its submission or the reason why there is none.
    """
    lines = []
    for trial in court.trials:
        try:
            outcome = _submit(court, trial, to, author, references).folder
        except InputError as error:
            outcome = f"no submission: {error}"
        lines.append(f"{trial.task.title}: {outcome}")
    return tuple(lines)


def _submit(court: Court, trial: TaskTrial, to: Path, author: Author, references: References) -> SubmissionSummary:
    """Train the missing runs of one task, and make its submission."""
    first = next(iter(trial.report[OWN_BEST].values())).record
    reference = references.of(first.protocol)
    protocol, source = reference.protocol, court.folders.runs_dir
    reason = deviation(first, reference)
    if reason is not None:
        raise InputError(reason)
    tried, _, _ = comparable_runs(source, references, protocol.name)
    cells: list[Cell] = []
    for record in tried:
        cell = _cell_of(record, has_width=court.candidate.has_width)
        if record.seed in protocol.trial_seeds and cell not in cells:
            cells.append(cell)
    points = [(cell, seed) for cell in cells for seed in protocol.trial_seeds]
    records = [run.record for run in court.runs_of(trial.task, "submission, tuning seeds", points)]
    chosen = best(make_log(first.method, first.method_id, records).trials, protocol)
    if chosen is None:
        raise InputError("each setting has a failed run, so that validation selects none")
    selected = next(record for record in records if record.method_id == chosen)
    cell = _cell_of(selected, has_width=court.candidate.has_width)
    seeds = protocol.complete_seeds[0]
    court.runs_of(trial.task, "submission, reporting seeds", [(cell, seed) for seed in seeds])
    return make(source, to, author, references=references, method=chosen, protocol=protocol.name)


def _cell_of(record: RunRecord, *, has_width: bool) -> Cell:
    """Return the settings that a run was tuned in: its learning rate, and its width if the surrogate has one."""
    parameters = record.method.parameters
    values = {"optimizer.lr": parameters["optimizer"]["lr"]}
    if has_width:
        values["width_fwhm"] = parameters["surrogate"]["width_fwhm"]
    return {key: value for key, value in values.items() if isinstance(value, float | int)}
