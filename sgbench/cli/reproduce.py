"""`sgbench reproduce`: measure published results again, and compare."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.cli.common import answer, say, shared
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
    """Add the command `reproduce` to the parser."""
    one = commands.add_parser(
        "reproduce",
        help="published figures, measured here",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared(classes=False),
    )
    one.add_argument("name", nargs="?", metavar="NAME|all", help="which; all for every one")
    one.add_argument("--list", action="store_true", help="list all reproductions and how long each takes")
    one.add_argument("--seeds", type=int, metavar="N", help="the first N seeds alone")
    one.add_argument("--ablations", action="store_true", help="run too what shows why figures are missed")
    one.add_argument("--stored", action="store_true", help="run nothing; read what has been run")
    one.add_argument("--update", type=Path, metavar="FILE.md", help="write the page; what was not run stays")
    one.add_argument("--root", type=Path, metavar="DIR", help="the runs folder (default: paths.runs_dir)")
    one.add_argument("--data-dir", type=Path, metavar="DIR", help="the data root (default: paths.data_dir)")
    one.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    one.set_defaults(handler=_reproduce)


def _reproduce(args: argparse.Namespace) -> int:
    for flag, number in (("--seeds", args.seeds), ("--workers", args.workers)):
        if number is not None and number < 1:
            raise InputError(f"{flag} {number}: at least 1 is needed")
    if args.list or args.name is None:
        return _list(args)
    chosen = _chosen(args)
    if args.update is not None and args.name != ALL and not args.update.is_file():
        raise InputError(
            f"--update {args.update}: there is no such page, and one holds every reproduction; "
            f"use: sgbench reproduce all"
        )
    # Where JSON is asked for, progress goes where it does not mix.
    with contextlib.redirect_stdout(sys.stderr) if args.json else contextlib.nullcontext():
        results = _results(chosen, args)
    _show(results, args)
    verdicts = {judged.verdict for result in results for judged in result.judged}
    if "does not agree" in verdicts:
        return DISAGREES
    is_unmade = args.ablations and any(
        changed.unmade for result in results for _, _, changed in result.ablations
    )
    return UNMEASURED if is_unmade or "not measured" in verdicts else 0


def _chosen(args: argparse.Namespace) -> list[Reproduction]:
    from sgbench.reproduction.definition import names, read

    wanted = names(args.config_dir) if args.name == ALL else [args.name]
    return [read(name, args.config_dir) for name in wanted]


def _list(args: argparse.Namespace) -> int:
    from sgbench.reproduction.definition import names, read

    known = [read(name, args.config_dir) for name in names(args.config_dir)]
    rows = [["reproduction", "minutes", "what"]]
    rows += [
        [experiment.name, "-" if experiment.minutes is None else f"{experiment.minutes:g}", experiment.line]
        for experiment in known
    ]
    tree = [experiment.model_dump(mode="json") for experiment in known]
    return answer(args, tree, [*aligned(rows, text_columns=3), "", "run one with: sgbench reproduce NAME"])


def _results(chosen: Sequence[Reproduction], args: argparse.Namespace) -> list[ReproductionResult]:
    """Run or read each reproduction; with `all`, print before each the count done and the estimated time left."""
    from sgbench.replicas.view import clock
    from sgbench.reproduction.time_left import left_s, stated_s

    grids = [_grids(one, args) for one in chosen]
    shows_progress = args.name == ALL and not args.stored
    stated = [
        stated_s(one, _asked(of, args)) if shows_progress else 0.0
        for one, of in zip(chosen, grids, strict=True)
    ]
    begun_s, results = time.monotonic(), []
    for index, (one, of) in enumerate(zip(chosen, grids, strict=True)):
        if stated[index]:
            left = clock(left_s(stated, index, time.monotonic() - begun_s))
            say(f"{index} of {len(chosen)} reproductions done, about {left} left")
        results.append(_result(one, of, args))
        if stated[index]:  # runs that could not be made took no time
            stated[index] -= stated_s(one, _asked(of, args))
    return results


def _grids(one: Reproduction, args: argparse.Namespace) -> list[ReproductionGrid]:
    """Compose the runs of a reproduction; none where it is calculated."""
    from sgbench.reproduction.runs import ReproductionFolders, grids_of

    if one.calculation is not None:
        return []
    folders = ReproductionFolders(args.root, args.data_dir, tuple(args.config_dir))
    return grids_of(one, args.seeds, folders, with_ablations=args.ablations or args.update is not None)


def _result(
    one: Reproduction, grids: Sequence[ReproductionGrid], args: argparse.Namespace
) -> ReproductionResult:
    from sgbench.reproduction.ablation_page import folder_beside
    from sgbench.reproduction.runs import calculated, judged_grids, of_same_methods, runs_of
    from sgbench.reproduction.stored import read_runs, write_runs

    if one.calculation is not None:
        return calculated(one, one.seeds[: args.seeds])
    path = None if args.update is None else folder_beside(args.update) / f"{one.name}.jsonl"
    if not args.stored:
        _carry_out(one, _asked(grids, args), args)
    known = {} if path is None else of_same_methods(grids, read_runs(path))
    runs = {**known, **runs_of(grids, known)}
    if path is not None and runs:
        path.parent.mkdir(exist_ok=True)
        write_runs(path, runs)
    return judged_grids(one, grids, runs)


def _asked(grids: Sequence[ReproductionGrid], args: argparse.Namespace) -> Sequence[ReproductionGrid]:
    """Return the grids that are to be run: those of the figures, and of ablations where they are asked for."""
    return grids if args.ablations else grids[:1]


def _carry_out(one: Reproduction, grids: Sequence[ReproductionGrid], args: argparse.Namespace) -> None:
    from sgbench.reproduction.runs import carry_out
    from sgbench.sweeps.outcome import headline

    say(f"{one.name}: {one.line}")
    try:
        for problem in carry_out(grids, workers=args.workers, headline=headline):
            sys.stderr.write(f"sgbench: error: {one.name}: {one_printable_line(InputError(problem))}\n")
    except InputError as error:
        if args.name != ALL:
            raise
        # A missing data set does not stop the other reproductions.
        sys.stderr.write(f"sgbench: error: {one.name}: {one_printable_line(error)}\n")


def _show(results: list[ReproductionResult], args: argparse.Namespace) -> None:
    from sgbench.reproduction import report

    if args.update is not None:
        from sgbench.records.files import write_atomic
        from sgbench.reproduction.ablation_page import ablation_page, folder_beside
        from sgbench.reproduction.page import as_page

        before = args.update.read_text(encoding="utf-8") if args.update.is_file() else ""
        write_atomic(args.update, as_page(results, before).encode())
        for result in results:
            if result.ablations:
                path = folder_beside(args.update) / f"{result.reproduction.name}.md"
                path.parent.mkdir(exist_ok=True)
                write_atomic(path, ablation_page(result).encode())
    table = [list(report.HEAD), *report.rows(results)]
    lines = ["", *aligned(table, text_columns=2), ""]
    for result in results:
        one = result.reproduction
        details = {"reduced": [one.reduced], "why it is missed": [one.reason]}
        if len(results) == 1:
            details = {"source": one.sources, "not as published": one.differs, **details}
        lines += [f"{one.name}: {what}: {text}" for what, texts in details.items() for text in texts if text]
    lines.append("ours: mean over seeds ± one standard deviation")
    answer(args, report.as_tree(results), lines)
