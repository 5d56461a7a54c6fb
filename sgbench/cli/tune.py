"""`sgbench tune`: settings within a protocol's own space and budget, then the seeds that report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import CommandParser, own_entry_options, print_json, print_lines, shared_options
from sgbench.errors import InputError
from sgbench.records.files import Strategy

if TYPE_CHECKING:
    from sgbench.records.record import RunRecord
    from sgbench.records.spec import RunSpec
    from sgbench.replicas.messages import PruningThresholds
    from sgbench.tuning.outcomes import Outcome, SearchResult
    from sgbench.tuning.request import Task

STRATEGIES: tuple[Strategy, ...] = ("sobol", "random", "tpe")
EPILOG = """examples:
  sgbench tune experiment=digits_tuned_v3 surrogate=atan
  sgbench tune experiment=digits_tuned_v3 surrogate=atan --studies 5 --no-report
  sgbench tune experiment=digits_tuned_v3 surrogate=triangle --by tpe --prune

--by tpe needs: pip install 'sgbench[tune]'

The same overrides continue an interrupted search, and may run at once on machines that share the folder of runs."""


def tune_command(arguments: Sequence[str]) -> int:
    """Run `sgbench tune` with the arguments behind its name; return the exit code."""
    return tune(parser().parse_intermixed_args(list(arguments)))


def parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="sgbench tune",
        description="Search a method's settings within its protocol's budget, then run the seeds that report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared_options(),
    )
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDE", help="of a run, e.g. experiment=digits_tuned_v3")
    parser.add_argument("--studies", type=int, default=3, metavar="N", help="independent searches (default: 3)")
    parser.add_argument("--trials", type=int, default=5, metavar="N", help="settings of each (default: 5)")
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="tuning seeds of each setting (default: 3); the best of each study is run with all of the protocol's",
    )
    parser.add_argument("--by", choices=STRATEGIES, default="sobol", help="who chooses (default: sobol)")
    parser.add_argument(
        "--prune", action="store_true", help="stop runs whose validation falls behind the median of their study"
    )
    parser.add_argument("--no-report", action="store_true", help="leave the seeds that report for later")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    return parser


def tune(args: argparse.Namespace) -> int:
    """Answer `sgbench tune`: search settings, then run the best one with the seeds that report."""
    from sgbench.composition.overrides import Overrides
    from sgbench.tuning.outcomes import result_lines, summarise_studies
    from sgbench.tuning.request import Request, make_task
    from sgbench.tuning.search import Search

    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers {args.workers}: at least 1 is needed")
    request = Request(
        overrides=Overrides.of(args.overrides),
        studies=args.studies,
        trials=args.trials,
        strategy=args.by,
        prune=args.prune,
        seeds=args.seeds,
        config_dirs=tuple(args.config_dir),
        allow_targets=tuple(args.allow_target),
    )
    task = make_task(request)
    if task.protocol.superseded_by is not None:
        print_lines(
            f"note: {task.protocol.name} is superseded by {task.protocol.superseded_by}, and takes no submissions"
        )
    if task.protocol.tuning_seeds is None:
        print_lines(
            f"note: {task.protocol.name} has settings chosen on the seeds that report; protocols with "
            f"tuning_seeds, as digits_tuned_v3, do not"
        )
    search = Search(task, partial(_run_specs, workers=args.workers), print_lines)
    outcome = summarise_studies(search.run())
    for line in result_lines(outcome, task):
        print_lines(line)
    if outcome.chosen is None:
        raise InputError(
            "validation selects no setting: each has a failed or stopped run; the records tell why, "
            "and --studies asks for more settings"
        )
    reported = [] if args.no_report else _run_reporting_seeds(task, outcome.chosen, args.workers)
    if args.json:
        print_json(_tree(task, outcome, reported))
    return _print_next_steps(args, task, outcome.chosen, reported)


def _run_specs(specs: Sequence[RunSpec], thresholds: Mapping[int, PruningThresholds], *, workers: int | None) -> None:
    """Run specs side by side; thresholds maps a spec's index to the scores below which it is stopped early."""
    from sgbench.replicas.sweep import run_sweep
    from sgbench.sweeps.outcome import headline

    run_sweep(specs, range(len(specs)), workers=workers, largest=None, headline=headline, thresholds=thresholds)


def _run_reporting_seeds(task: Task, chosen: Outcome, workers: int | None) -> list[RunRecord | None]:
    """Run the chosen setting with the seeds that report, and compare their scores with those of tuning seeds.

    Return the record of each seed, None for one without a record.
    """
    from sgbench.training.run_folder import stored_record
    from sgbench.tuning.outcomes import promise_lines, read_promise
    from sgbench.tuning.search import wait_for

    specs = task.specs(dict(chosen.asked.setting), task.protocol.seeds)
    print_lines(f"validation selects {chosen.asked.method_id}; {len(specs)} seeds report")
    _run_specs(specs, {}, workers=workers)
    wait_for(specs)
    if task.protocol.tuning_seeds is not None:
        for line in promise_lines(read_promise(chosen.specs, specs, task.measure)):
            print_lines(line)
    return [stored_record(spec) for spec in specs]


def _print_next_steps(
    args: argparse.Namespace, task: Task, chosen: Outcome, reported: Sequence[RunRecord | None]
) -> int:
    """Print the test score and how to hand it in; return 1 if a reporting seed failed."""
    from sgbench.sweeps.outcome import Guessing, chance_warning

    measure, method_id = task.measure, chosen.asked.method_id
    finished = [record for record in reported if record is not None and record.test is not None]
    failed = len(reported) - len(finished)
    if finished:
        test = measure.summary(measure.summarise([measure.of(record.test) for record in finished]))
        print_lines(f"test {measure.kind} {test}{'' if measure.is_loss else ' %'} over {len(finished)} seeds")
    guessing = [
        Guessing(f"seed {record.seed}", f"sgbench diagnose {task.folder / method_id / str(record.seed)}")
        for record in finished
        if measure.is_at_chance(record.validation)
    ]
    warning = chance_warning(guessing, count=len(finished))
    if warning is not None:
        print_lines(f"warning: {warning}")
    if failed:
        print_lines(f"{failed} of {len(reported)} seeds have no finished record")
    if reported:
        make = ["sgbench", "submit", "make", str(task.folder), "--method", method_id]
        options = own_entry_options(args.config_dir, args.allow_target)
        print_lines(f"next: {shlex.join([*make, *options])} --name NAME --contact @YOU")
    return 1 if failed else 0


def _tree(task: Task, outcome: SearchResult, reported: Sequence[RunRecord | None]) -> dict[str, Any]:
    """Convert the outcome of a search to plain values for JSON."""
    chosen = outcome.chosen
    return {
        "protocol": task.protocol.name,
        "strategy": task.request.strategy,
        "studies": [
            {
                "study": study.study,
                "settings": study.tried,
                "best": None if study.best is None else study.best.asked.method_id,
                "score": None if study.best is None else study.best.score,
                "seeds": 0 if study.best is None else len(study.best.specs),
            }
            for study in outcome.studies
        ],
        "median_of_bests": outcome.score,
        "saved_epochs": outcome.saved_epochs,
        "epochs": outcome.epochs,
        "method_id": None if chosen is None else chosen.asked.method_id,
        "setting": None if chosen is None else chosen.asked.setting,
        "test_accuracy": [
            None if record is None or record.test is None else record.test.accuracy for record in reported
        ],
    }
