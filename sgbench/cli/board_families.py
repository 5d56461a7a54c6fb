"""`sgbench board across | tuning | explain`: methods over tasks, over settings, and in pairs."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import (
    add_source,
    answer,
    check_picture,
    chosen_protocols,
    print_json,
    print_lines,
    record_tree,
    references_of,
    screen,
    shared_options,
    warn_of_findings,
)
from sgbench.errors import InputError, printable
from sgbench.paths import default_runs_dir
from sgbench.tables import aligned
from sgbench.tables.markup import markdown

if TYPE_CHECKING:
    from sgbench.leaderboard.contents import BoardContents
    from sgbench.leaderboard.families import AcrossTasks, Tuned
    from sgbench.leaderboard.pages.explain import Explanation
    from sgbench.leaderboard.score import Measure

CURVE_POINTS = (1, 5, 10)
WIDTH = 100


def register(actions: Any) -> None:
    across = actions.add_parser(
        "across",
        help="methods over several tasks: interquartile mean, ranks",
        parents=shared_options(picture="write a picture"),
    )
    add_source(across, default="runs", several=True, registry=True)
    _add_family_options(across)
    across.add_argument("--markdown", action="store_true", help="a Markdown table, e.g. for a README")
    across.set_defaults(handler=_across)
    tuning = actions.add_parser(
        "tuning",
        help="how methods answer to their settings: budget, slope, failures",
        parents=shared_options(picture="write a picture"),
    )
    add_source(tuning, default="runs", registry=True)
    _add_family_options(tuning)
    tuning.set_defaults(handler=_tuning)
    explain = actions.add_parser(
        "explain", help="two methods in plain sentences: which is better, and how sure", parents=shared_options()
    )
    explain.add_argument(
        "methods",
        nargs="+",
        metavar="METHOD",
        help="two methods, each by its id, its beginning, its name, or atan:1 for a surrogate with this number; "
        "a board's name may stand before them, in place of --protocol; your own runs are asked first",
    )
    explain.add_argument("--full", action="store_true", help="all sentences in place of the table")
    add_source(explain, default="leaderboards", registry=True)
    explain.set_defaults(handler=_explain)


def _explain(args: argparse.Namespace) -> int:
    """Answer `sgbench board explain`: a table of two methods, or all sentences about them."""
    allowed = (2,) if args.protocol else (2, 3)  # three: the first one names the board
    if len(args.methods) not in allowed:
        raise InputError("board explain: two methods are needed, as in: sgbench board explain digits_v1 atan triangle")
    *board, a, b = args.methods
    args.protocol = board[0] if board else args.protocol
    explained = _explained(args, a, b)
    sentences = explained.sentences if args.full else explained.short
    lines = [textwrap.fill(printable(sentence), screen(args) or WIDTH) for sentence in sentences]
    if not args.full:
        (corner, a, b), *rows = explained.table
        cells = [(corner, f"A: {a}", f"B: {b}"), *rows]
        lines = [*aligned(cells, text_columns=1, width=screen(args), least=3), "", *lines]
    return answer(args, asdict(explained), "\n".join(lines))


def _explained(args: argparse.Namespace, a: str, b: str) -> Explanation:
    """Compare two methods of the records that the arguments name; without a name, of the user's own first."""
    from sgbench.leaderboard.api import explain_two
    from sgbench.leaderboard.store.tree import RecordTree

    own, reason = default_runs_dir(), ""
    if args.layout is None and args.root is None and own.is_dir():
        try:
            explained = explain_two(a, b, tree=RecordTree(own, "runs", references_of(args), args.protocol))
        except InputError as error:
            reason = f"in your own runs: {error}; in published boards: "
        else:
            sys.stderr.write(printable(f"your own runs in {own}; of published boards: --from registry") + "\n")
            return explained
    try:
        return explain_two(a, b, tree=record_tree(args, only=args.protocol))
    except InputError as error:
        raise InputError(f"{reason}{error}") from error


def _across(args: argparse.Namespace) -> int:
    """Answer `sgbench board across`: compare families of methods over several tasks."""
    from sgbench.leaderboard.contents import contents_of
    from sgbench.leaderboard.families import across_tasks, check_groups, select_methods

    check_picture(args)
    by = check_groups(args.by.split(","))
    references = references_of(args)
    contents = contents_of(tree := record_tree(args))
    measured, findings = contents.ranked(), contents.findings
    _require_some(contents, tree.root)
    wanted = {
        name: select_methods(measured[name], args.only) for name in chosen_protocols(args.protocol, sorted(measured))
    }
    comparison = across_tasks(wanted, {name: references.of(name).measure for name in wanted}, by=by)
    if args.plot is not None:
        _plot_across(comparison, args.plot)
    if args.json:
        answer = asdict(comparison)
        answer["standings"] = [
            {**family, "tasks": [list(map(float, task)) for task in family["tasks"]]}
            for family in answer.pop("families")
        ]
        print_json(answer)
        return warn_of_findings(findings)
    header, *rows = _across_table(comparison, args.by)
    if args.markdown:
        for line in markdown(header, rows, numbers=range(1, len(header))).splitlines():
            print_lines(line)
        return warn_of_findings(findings)
    _print_table(header, rows, screen(args))
    print_lines(
        [
            "scores: 0 % guesses, 100 % makes no error; each task by the setting that validation selects",
            "intervals draw seeds anew within each task and cover training noise on fixed test sets: the truth in "
            "about 90 of 100 cases with five seeds, 95 with many",
        ]
    )
    if comparison.ranks is not None:
        print_lines(
            f"ranks over {len(comparison.tasks)} tasks: Friedman p = {comparison.ranks.p:.2g}; mean ranks less "
            f"than {comparison.ranks.critical_difference:.2f} apart do not differ significantly (Nemenyi, 5 %)"
        )
    if len(comparison.families) == 1:
        print_lines(f"{comparison.families[0].name} alone is on every task: nothing is compared")
    if comparison.left_out:
        print_lines(f"left out, since not on every task: {', '.join(comparison.left_out)}")
    if comparison.alone:
        print_lines(
            f"left out, since all methods there have one {args.by.replace(',', ' ')}: {', '.join(comparison.alone)}"
        )
    if comparison.mixed:
        print_lines(
            f"left out, since methods there differ in more than {args.by.replace(',', ' ')}: "
            f"{', '.join(comparison.mixed)}"
        )
    return warn_of_findings(findings)


def _require_some(contents: BoardContents, root: Path) -> None:
    findings = contents.findings
    if not any(content.measured for content in contents.boards.values()):
        first = f": {len(findings)} left out, e.g. {findings[0]}" if findings else ""
        raise InputError(f"{root}: no records that count{first}")


def _across_table(comparison: AcrossTasks, by: str) -> Iterator[list[str]]:
    """Yield the rows of cells of the table of families over tasks, the header first; `by` heads its first one."""
    varies = any(count > 1 for family in comparison.families for count in family.settings)
    head = [by, "interquartile mean, %", "95 % interval", "mean rank", *comparison.tasks]
    yield [*head, *(["settings here"] if varies else [])]
    for family in comparison.families:
        yield [
            family.name,
            f"{100 * family.interquartile_mean:.2f}",
            f"{100 * family.low:.2f} to {100 * family.high:.2f}",
            "-" if family.mean_rank is None else f"{family.mean_rank:.2f}",
            *(f"{100 * float(task.mean()):.2f}" for task in family.tasks),
            *([" ".join(map(str, family.settings))] if varies else []),
        ]


def _tuning(args: argparse.Namespace) -> int:
    """Print how families of methods on one protocol depend on settings; return 1 if any record is left out."""
    from sgbench.leaderboard.contents import contents_of
    from sgbench.leaderboard.families import check_groups, families, select_methods, tuned

    check_picture(args)
    by = check_groups(args.by.split(","))
    references = references_of(args)
    contents = contents_of(tree := record_tree(args, only=args.protocol))
    measured, findings = contents.ranked(), contents.findings
    _require_some(contents, tree.root)
    if len(measured) != 1:
        raise InputError(f"--protocol: one of {', '.join(sorted(measured)) or 'none'} is needed")
    ((protocol, methods),) = measured.items()
    measure = references.of(protocol).measure
    families = [
        tuned(name, family, measure) for name, family in families(select_methods(methods, args.only), by).items()
    ]
    families.sort(key=lambda family: (-measure.better(family.best_test), family.name))
    if args.plot is not None:
        _plot_tuning(families, measure, args.plot)
    if args.json:
        print_json({"protocol": protocol, "families": [asdict(family) for family in families]})
        return warn_of_findings(findings)
    print_lines(protocol)
    header, *rows = _tuning_table(families, args.by, measure)
    _print_table(header, rows, screen(args))
    print_lines(
        [
            f"{measure.title}, of settings that validation selects",
            "settings here: those with records, not those that a submission tried elsewhere (table.md says these)",
            "best of n: expected over all choices of n settings",
            "over slopes: mean over the logarithm of the slope, equal to the best where the slope does not matter",
        ]
    )
    return warn_of_findings(findings)


def _tuning_table(families: Sequence[Tuned], by: str, measure: Measure) -> Iterator[list[str]]:
    """Yield the rows of cells of the table of families over settings, the header first; `by` heads its first one."""
    head = [by, "settings here", "failed runs, %", "best on validation", "mean of ten best"]
    yield [*head, "over slopes (slopes)", *(f"best of {n}" for n in CURVE_POINTS)]
    for family in families:
        slopes = family.slope_sensitivity
        yield [
            family.name,
            str(family.settings),
            f"{100 * family.failed_share:.0f}",
            measure.text(family.best_test),
            measure.text(family.ten_best),
            "-" if slopes is None else f"{measure.text(slopes)} ({family.slopes})",
            *(measure.text(family.expected_test[n - 1]) if n <= family.settings else "-" for n in CURVE_POINTS),
        ]


def _plot_across(across: AcrossTasks, path: Path) -> None:
    """Draw families of methods compared over tasks into a file."""
    from sgbench.leaderboard.pages.picture import mean_ranks, profiles
    from sgbench.plots import style
    from sgbench.plots.board_charts import across_figure

    style.save(lambda: across_figure(profiles(across), mean_ranks(across)), path)


def _plot_tuning(families: Sequence[Tuned], measure: Measure, path: Path) -> None:
    """Draw how families of methods depend on their settings into a file."""
    from sgbench.leaderboard.pages.picture import tuning_curves
    from sgbench.plots import style
    from sgbench.plots.board_charts import tuning_figure

    style.save(lambda: tuning_figure(tuning_curves(families, measure), what=measure.title), path)


def _print_table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None) -> None:
    print_lines(aligned([list(header), *map(list, rows)], text_columns=1, width=width))


def _add_family_options(parser: argparse.ArgumentParser) -> None:
    """Add --by, which defines families, and --only, which selects methods."""
    parser.add_argument(
        "--by", default="surrogate", metavar="GROUPS", help="what makes a family, e.g. surrogate,neuron"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GROUP.NAME=VALUE",
        help="methods with this number, or without one of that name: surrogate.width_fwhm=1",
    )
