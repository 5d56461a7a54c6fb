"""Seeds that choose are not seeds that report: which of them a submission may hold, each outcome by the rule."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import ProtocolReference, References, deviation
from sgbench.leaderboard.store.reading import by_cause
from sgbench.leaderboard.store.tree import RecordTree, add
from sgbench.paths import PREDICTIONS, RECORD
from sgbench.records.files import read_model, to_json
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, Protocol
from sgbench.records.submission import Submission, TuningLog
from sgbench.submissions.check import check
from sgbench.submissions.head import header_problems
from sgbench.submissions.make import Author, make
from sgbench.submissions.tuning import log_problems
from tests.leaderboard.factory import method, protocol, reference, write_board_record
from tests.messages import lines_naming, raises_naming
from tests.submission.factory import JUDGE, method_id, run, trial

REPORTING = tuple(range(200, 240))
CLOSED = {"test": None, "counts": None, "predictions_sha256": None, "test_access": ()}
AUTHOR = Author(name="mine", contact="@me", paper="arXiv:1901.09948")


def apart() -> Protocol:
    """The toy protocol with forty reporting seeds and two for choosing."""
    return protocol().model_copy(update={"seeds": REPORTING, "tuning_seeds": (100, 101)})


class Apart(References):
    """References that know it."""

    def of(self, name: str) -> ProtocolReference:
        """The toy reference with these seeds."""
        return replace(reference(), protocol=apart())


def of(width: float) -> Method:
    """A method of it."""
    found = method(parameters={"surrogate": {"width_fwhm": width}})
    return found.model_copy(update={"protocol": apart()})


def test_ten_twenty_and_all_are_complete_where_settings_are_chosen_with_other_seeds() -> None:
    """By hand: 10, 20 and 40 from the first on; must differ: a protocol that chooses and reports with the same."""
    assert [len(seeds) for seeds in apart().complete_seeds] == [10, 20, 40]
    assert all(seeds == REPORTING[: len(seeds)] for seeds in apart().complete_seeds)
    assert protocol().complete_seeds == ((0, 1, 2),)
    assert apart().trial_seeds == (100, 101)
    assert protocol().trial_seeds == (0, 1, 2)


def write_runs(folder: Path, seeds: range, width: float, accuracy: int = 90) -> str:
    """Finished runs as a runs folder holds them, tuning seeds without a test; returns the id of their method."""
    chosen = of(width)
    for seed in seeds:
        record, data, weights = run(seed, hits=accuracy, of=chosen)
        place = folder / record.protocol / record.method_id / str(seed)
        place.mkdir(parents=True)
        if apart().is_tuning_seed(seed):
            record = record.model_copy(update=CLOSED)
        else:
            (place / PREDICTIONS).write_bytes(data)
        (place / RECORD).write_bytes(to_json(record))
        (place / "weights.safetensors").write_bytes(weights)
    return method_id(chosen)


def test_a_submission_takes_the_largest_complete_prefix_and_tells_what_was_tried(tmp_path: Path) -> None:
    """Twelve reporting seeds make a row of ten; both settings were tried with 100 and 101, which are no rows."""
    chosen = write_runs(tmp_path / "runs", range(200, 212), 1.0)
    write_runs(tmp_path / "runs", range(100, 102), 1.0)
    write_runs(tmp_path / "runs", range(100, 102), 2.0, accuracy=60)
    made = make(tmp_path / "runs", tmp_path / "out", AUTHOR, references=Apart(), method=chosen)
    assert made.seeds == REPORTING[:10]
    log = TuningLog.model_validate_json((Path(made.folder) / "tuning.json").read_bytes())
    assert sorted((one.method_id == chosen, one.seed) for one in log.trials) == [
        (False, 100),
        (False, 101),
        (True, 100),
        (True, 101),
    ]
    assert made.tuning_trials == 2
    assert made.left_out == ()
    submission = read_model(Path(made.folder) / "submission.json", Submission)
    assert not [found for found in header_problems(submission, Apart().of("toy_v1")) if found.code == "seeds"]
    eleven = submission.model_copy(update={"seeds": REPORTING[:11]})
    (problem,) = (found for found in header_problems(eleven, Apart().of("toy_v1")) if found.code == "seeds")
    assert lines_naming(problem.message, "first 10", "first 20", "toy_v1")


def test_a_setting_that_few_tuning_seeds_chose_is_warned_of(tmp_path: Path) -> None:
    """Expected: the seed that the setting handed in lacks, as a warning; must differ: with both, nothing."""
    chosen = write_runs(tmp_path / "runs", range(200, 210), 2.0)
    write_runs(tmp_path / "runs", range(100, 101), 2.0)
    write_runs(tmp_path / "runs", range(100, 102), 1.0)
    told = []
    for name in ("one", "both"):
        made = make(tmp_path / "runs", tmp_path / name, AUTHOR, references=Apart(), method=chosen)
        told.append(check(Path(made.folder), references=Apart(), judge=JUDGE).problems)
        if name == "one":
            write_runs(tmp_path / "runs", range(101, 102), 2.0)
    (warning,) = told[0]
    assert (warning.code, warning.level) == ("tuning", "warning")
    assert lines_naming(warning.message, "101")
    assert told[1] == ()


def test_a_run_that_is_not_comparable_is_left_out_by_name(tmp_path: Path) -> None:
    """Expected: one line with its file and the reason; its setting was not tried, for all that the log says."""
    source = tmp_path / "runs: first"  # a path with what a message writes between file and reason
    chosen = write_runs(source, range(200, 210), 1.0)
    other = write_runs(source, range(100, 101), 2.0)
    path = source / "toy_v1" / other / "100" / RECORD
    tree = json.loads(path.read_bytes())
    tree["provenance"]["data_sha256"] = "0" * 64
    path.write_text(json.dumps(tree))
    made = make(source, tmp_path / "out", AUTHOR, references=Apart(), method=chosen)
    (left_out,) = made.left_out
    assert left_out.path == str(path)
    assert "provenance.data_sha256" in left_out.reason
    assert made.tuning_trials == 0


def test_too_few_reporting_seeds(tmp_path: Path) -> None:
    """Nine of ten: the one that is missing is named."""
    chosen = write_runs(tmp_path / "runs", range(200, 209), 1.0)
    with raises_naming(InputError, chosen, "209"):
        make(tmp_path / "runs", tmp_path / "out", AUTHOR, references=Apart(), method=chosen)


def test_a_setting_that_was_chosen_on_a_reporting_seed() -> None:
    """Expected: one complaint that names it; must differ: the seeds for choosing, and protocols without any."""
    ours = of(1.0)
    for seed, said in ((100, None), (200, "has seed 200, which reports"), (7, "has seed 7; toy_v1")):
        tree = {
            "schema_version": 1,
            "protocol": "toy_v1",
            "method_id": method_id(ours),
            "trials": [trial(ours, ours, seed), trial(of(2.0), ours, seed, loss=0.5)],
        }
        log = TuningLog.model_validate_json(json.dumps(tree), strict=True)
        found = [message for _, message in log_problems(log, ours, Apart().of("toy_v1"))]
        assert (said is None) == (not found)
        assert said is None or said in found[0]
        assert not list(log_problems(log, ours, reference()))


def test_a_trial_is_no_row_and_no_choice_of_seeds() -> None:
    """A board wants no run of a seed for choosing; what collects trials does."""
    record, _, _ = run(100, of=of(1.0))
    found = deviation(record, Apart().of("toy_v1"))
    assert found is not None
    assert "settings are chosen with" in found
    assert deviation(record, Apart().of("toy_v1"), trials=True) is None
    other, _, _ = run(50, of=of(1.0))
    assert deviation(other, Apart().of("toy_v1"), trials=True) is not None


def test_runs_that_chose_settings_are_neither_rows_nor_findings(tmp_path: Path) -> None:
    """Two settings tried with 100 and 101, one reported: one row, nothing left out, nor of what is added.

    Must differ: seeds that nobody asked for, which are one line for their one cause; a board's own folder.
    """
    runs, boards = tmp_path / "runs", tmp_path / "boards"
    write_runs(runs, range(200, 210), 1.0)
    for width in (1.0, 2.0):
        write_runs(runs, range(100, 102), width)
    shown = show(RecordTree(runs, "runs", Apart()))
    assert [len(board.rows) for board in shown.boards] == [1]
    assert shown.findings == ()
    done = add([runs], boards, references=Apart())
    assert (len(done.added), done.refused) == (10, ())
    write_runs(runs, range(50, 53), 1.0)
    (line,) = by_cause(show(RecordTree(runs, "runs", Apart())).findings)
    assert lines_naming(line, "200 to 239", "2")
    chose = read_model(runs / "toy_v1" / method_id(of(1.0)) / "100" / RECORD, RunRecord)
    write_board_record(boards, chose)
    (finding,) = show(RecordTree(boards, "leaderboards", Apart())).findings
    assert "settings are chosen with" in finding.reason
