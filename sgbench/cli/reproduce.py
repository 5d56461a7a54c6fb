"""`sgbench reproduce`: measures published results again, and compares."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.cli.common import answer, print_lines, screen, shared_options
from sgbench.errors import InputError, one_printable_line
from sgbench.tables import aligned

if TYPE_CHECKING:
    from sgbench.reproduction.definition import Reproduction
    from sgbench.reproduction.runs import ReproductionGrid, ReproductionResult

ABOUT = """Run what others have published, and print published and measured figures. Without NAME, list all.

Finished runs are kept: an interrupted reproduction continues, and the same command again only reads. `all` says
before each how long the rest takes, by the minutes that --list names and the pace so far.

exit codes, with --stored and --update too: 0 all agree, 1 a run failed or could not be made, 2 bad input,
3 a figure does not agree, 130 stopped"""
ALL = "all"
UNMEASURED, DISAGREES = 1, 3


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="published figures, measured here",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared_options(classes=False),
    )
    parser.add_argument("name", nargs="?", metavar="NAME|all", help="which; all for every one")
    parser.add_argument("--list", action="store_true", help="list all reproductions and how long each takes")
    parser.add_argument("--seeds", type=int, metavar="N", help="the first N seeds alone")
    parser.add_argument("--ablations", action="store_true", help="run too what shows why figures are missed")
    parser.add_argument("--stored", action="store_true", help="run nothing; read what has been run")
    parser.add_argument("--update", type=Path, metavar="FILE.md", help="write the page; what was not run stays")
    parser.add_argument("--root", type=Path, metavar="DIR", help="the runs folder (default: paths.runs_dir)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data root (default: paths.data_dir)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    parser.set_defaults(handler=_reproduce)


def _reproduce(args: argparse.Namespace) -> int:
    """Run, read or list reproductions of published results, and print what agrees; return the exit code."""
    for flag, number in (("--seeds", args.seeds), ("--workers", args.workers)):
        if number is not None and number < 1:
            raise InputError(f"{flag} {number}: at least 1 is needed")
    if args.list or args.name is None:
        return _list(args)
    from sgbench.reproduction.definition import names, read
    from sgbench.reproduction.figures import figures_beside

    named = names(args.config_dir) if args.name == ALL else [args.name]
    chosen = [read(name, args.config_dir) for name in named]
    if args.update is not None and args.name != ALL and not figures_beside(args.update).is_file():
        raise InputError(
            f"--update {args.update}: there is no {figures_beside(args.update)}, and a page holds every "
            "reproduction; use: sgbench reproduce all"
        )
    # With --json, progress goes to standard error, so that standard output is JSON alone.
    with contextlib.redirect_stdout(sys.stderr) if args.json else contextlib.nullcontext():
        results = _run_all(chosen, args)
    _print_results(results, args)
    verdicts = {judged.verdict for result in results for judged in result.judged}
    if "does not agree" in verdicts:
        return DISAGREES
    is_unmade = args.ablations and any(changed.unmade for result in results for _, _, changed in result.ablations)
    return UNMEASURED if is_unmade or "not measured" in verdicts else 0


def _list(args: argparse.Namespace) -> int:
    """Print all reproductions and how many minutes each takes."""
    from sgbench.reproduction.definition import names, read

    known = [read(name, args.config_dir) for name in names(args.config_dir)]
    rows = [["reproduction", "minutes", "what"]]
    rows += [
        [experiment.name, "-" if experiment.minutes is None else f"{experiment.minutes:g}", experiment.line]
        for experiment in known
    ]
    tree = [experiment.model_dump(mode="json") for experiment in known]
    return answer(
        args, tree, [*aligned(rows, text_columns=3, width=screen(args)), "", "run one with: sgbench reproduce NAME"]
    )


def _run_all(chosen: Sequence[Reproduction], args: argparse.Namespace) -> list[ReproductionResult]:
    """Run the chosen reproductions one after another, and say how much time is left."""
    from sgbench.replicas.view import clock
    from sgbench.reproduction.runs import left_s, stated_s

    all_grids = [_compose_grids(reproduction, args) for reproduction in chosen]
    shows_progress = args.name == ALL and not args.stored
    estimates_s = [
        stated_s(reproduction, _grids_to_run(grids, args)) if shows_progress else 0.0
        for reproduction, grids in zip(chosen, all_grids, strict=True)
    ]
    begun_s, results = time.monotonic(), []
    for index, (reproduction, grids) in enumerate(zip(chosen, all_grids, strict=True)):
        if estimates_s[index]:
            left = clock(left_s(estimates_s, index, time.monotonic() - begun_s))
            print_lines(f"{index} of {len(chosen)} reproductions done, about {left} left")
        results.append(_run_one(reproduction, grids, args))
        if estimates_s[index]:  # runs that could not be made took no time
            estimates_s[index] -= stated_s(reproduction, _grids_to_run(grids, args))
    return results


def _compose_grids(reproduction: Reproduction, args: argparse.Namespace) -> list[ReproductionGrid]:
    """Compose the grids of runs that a reproduction needs; none if it is a calculation."""
    from sgbench.reproduction.runs import ReproductionFolders, grids_of

    if reproduction.calculation is not None:  # nothing is trained: a calculation gives the numbers
        return []
    folders = ReproductionFolders(args.root, args.data_dir, tuple(args.config_dir))
    return grids_of(reproduction, args.seeds, folders, with_ablations=args.ablations or args.update is not None)


def _run_one(
    reproduction: Reproduction, grids: Sequence[ReproductionGrid], args: argparse.Namespace
) -> ReproductionResult:
    """Run what a reproduction still lacks, add runs stored beside the page, and judge its figures."""
    from sgbench.reproduction.figures import figures_beside
    from sgbench.reproduction.runs import calculated, judged_grids, of_same_methods, runs_of
    from sgbench.reproduction.stored import read_runs, write_runs

    if reproduction.calculation is not None:
        return calculated(reproduction, reproduction.seeds[: args.seeds])
    path = None if args.update is None else figures_beside(args.update).with_name(f"{reproduction.name}.jsonl")
    if not args.stored:
        _run_grids(reproduction, _grids_to_run(grids, args), args)
    known = {} if path is None else of_same_methods(grids, read_runs(path))
    runs = {**known, **runs_of(grids, known)}
    if path is not None and runs:
        path.parent.mkdir(exist_ok=True)
        write_runs(path, runs)
    return judged_grids(reproduction, grids, runs)


def _grids_to_run(grids: Sequence[ReproductionGrid], args: argparse.Namespace) -> Sequence[ReproductionGrid]:
    return grids if args.ablations else grids[:1]


def _run_grids(reproduction: Reproduction, grids: Sequence[ReproductionGrid], args: argparse.Namespace) -> None:
    """Run the missing runs of a reproduction; failures are printed, and raised only if one was named alone."""
    from sgbench.reproduction.runs import carry_out
    from sgbench.sweeps.outcome import headline

    print_lines(f"{reproduction.name}: {reproduction.line}")
    try:
        for problem in carry_out(grids, workers=args.workers, headline=headline):
            print_lines(f"sgbench: error: {reproduction.name}: {one_printable_line(InputError(problem))}", sys.stderr)
    except InputError as error:
        if args.name != ALL:
            raise
        # A missing data set does not stop the other reproductions.
        print_lines(f"sgbench: error: {reproduction.name}: {one_printable_line(error)}", sys.stderr)


def _print_results(results: list[ReproductionResult], args: argparse.Namespace) -> None:
    """Write the page if asked, and print the table of figures with what explains them."""
    from sgbench.reproduction import page

    if args.update is not None:
        from sgbench.records.files import write_atomic
        from sgbench.reproduction.figures import figures_beside, update_figures

        path = figures_beside(args.update)
        path.parent.mkdir(exist_ok=True)
        write_atomic(args.update, page.as_page(update_figures(path, results, args.config_dir)).encode())
        for result in results:
            if result.ablations:
                write_atomic(path.with_name(f"{result.reproduction.name}.md"), page.ablation_page(result).encode())
    table = [list(page.HEAD), *page.rows(results)]
    lines = ["", *aligned(table, text_columns=2, width=screen(args)), ""]
    for result in results:
        reproduction = result.reproduction
        details = {"reduced": [reproduction.reduced], "why it is missed": [reproduction.reason]}
        if len(results) == 1:
            details = {"source": reproduction.sources, "not as published": reproduction.differs, **details}
        lines += [f"{reproduction.name}: {what}: {text}" for what, texts in details.items() for text in texts if text]
    lines.append("ours: mean over seeds ± one standard deviation")
    answer(args, page.as_tree(results), lines)
