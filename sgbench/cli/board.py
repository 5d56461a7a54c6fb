"""`sgbench board`: collect records, build tables and pictures from them, and check them against the records."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import (
    LEADERBOARDS,
    add_source,
    answer,
    findings_exit_code,
    left_out_lines,
    own_entry_options,
    print_lines,
    record_tree,
    references_of,
    screen,
    shared_options,
)
from sgbench.errors import InputError, printable

if TYPE_CHECKING:
    from sgbench.leaderboard.pages.columns import BoardColumn
    from sgbench.leaderboard.rows import Board
    from sgbench.leaderboard.store.reading import Finding

FEWEST_COLUMNS = 3  # rank, method and score


def register(commands: Any) -> None:
    from sgbench.cli import board_families, board_releases

    board = commands.add_parser("board", help="collect records, build, check and show leaderboards")
    actions = board.add_subparsers(title="actions", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add", help="copy records into a leaderboards folder; never overwrites one", parents=shared_options()
    )
    add.add_argument("sources", nargs="+", type=Path, metavar="DIR", help="a runs folder, or one inside it")
    add.add_argument("--to", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    add.set_defaults(handler=_add)
    build = actions.add_parser(
        "build", help="write table.md, table.csv and board.png beside the records", parents=shared_options()
    )
    add_source(build, default="runs")
    build.set_defaults(handler=_build)
    check = actions.add_parser(
        "check", help="find tables that are not what their records give", parents=shared_options()
    )
    check.add_argument("--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    check.add_argument(
        "--again", action="store_true", help="score stored predictions and run stored weights again (ten minutes)"
    )
    check.add_argument("--site", help=argparse.SUPPRESS)
    check.set_defaults(handler=_check)
    site = actions.add_parser("site", parents=shared_options(), add_help=False)
    for option in ("--from", "--to", "--into", "--docs"):
        site.add_argument(option, nargs="?")
    site.set_defaults(handler=_name_of_site)
    show = actions.add_parser(
        "show", help="print boards without writing anything", parents=shared_options(machine=False)
    )
    show.add_argument("protocol", nargs="?", default=argparse.SUPPRESS, metavar="PROTOCOL", help="as --protocol")
    add_source(show, default="runs", registry=True)
    forms = show.add_mutually_exclusive_group()
    forms.add_argument("--markdown", action="store_true", help="a short Markdown table, e.g. for a README")
    show.add_argument(
        "--energy", action="store_true", help="below it, how energies compare with networks without spikes"
    )
    forms.add_argument("--latex", action="store_true", help="a table with the rules of booktabs, for a paper")
    forms.add_argument("--html", action="store_true", help="one page for a browser, which needs no other file")
    show.set_defaults(handler=_show)
    board_families.register(actions)
    board_releases.register(actions)


def _add(args: argparse.Namespace) -> int:
    """Copy records into a leaderboards folder; return 1 if any is refused."""
    from sgbench.leaderboard.store.tree import add

    done = add(args.sources, args.to, references=references_of(args))
    counts = f"{len(done.added)} added, {len(done.already_there)} already there, {len(done.refused)} refused"
    build = ["sgbench", "board", "build", "--from", "leaderboards", "--root", str(args.to)]
    line = f"{counts}; next: {shlex.join([*build, *own_entry_options(args.config_dir, args.allow_target)])}"
    return _answer_with_findings(args, asdict(done), [*_finding_lines(done.refused, "refused"), line], done.refused)


def _build(args: argparse.Namespace) -> int:
    """Write the tables and pictures of boards; return 1 if a record is left out that should have a row."""
    from sgbench.leaderboard.board import build
    from sgbench.tables import counted

    built, findings = build(record_tree(args, only=args.protocol))
    tree = {"boards": [asdict(board) for board in built], "left_out": [asdict(item) for item in findings]}
    lines = []
    for board in built:
        counts = [counted(board.methods, "method"), counted(board.records, "record")]
        counts += [f"{board.outside} from outside"] if board.outside else []
        lines.append(f"{board.protocol}: {', '.join(counts)}; {', '.join(board.files)}")
    answer(args, tree, [*lines, *left_out_lines(findings)])
    return findings_exit_code(findings, has_rows=bool(built))


def _name_of_site(_: argparse.Namespace) -> int:
    raise InputError(
        "the site of all boards is built and checked in a clone: python -m registry site [--check]; "
        "one page of your own boards: sgbench board show --html > boards.html"
    )


def _check(args: argparse.Namespace) -> int:
    """Compare tables with what the records give; return 1 if there is a problem."""
    if args.site is not None:
        return _name_of_site(args)
    from sgbench.leaderboard.board import check
    from sgbench.submissions.stored_runs import not_repeated, other_draws
    from sgbench.tables import counted

    references = references_of(args)
    checked, findings = check(args.root, references=references)
    findings = (*findings, *other_draws(args.root), *(not_repeated(args.root, references) if args.again else ()))
    tree = {"checked": checked, "findings": [asdict(item) for item in findings]}
    boards = f"{counted(len(checked), 'board')} checked ({', '.join(checked) or 'none'})"
    line = f"{boards}, {counted(len(findings), 'problem')}"
    return _answer_with_findings(args, tree, [*_finding_lines(findings, "problem"), line], findings)


def _show(args: argparse.Namespace) -> int:
    """Print boards as Markdown, LaTeX, HTML or terminal tables; return 1 if a record with a row is left out."""
    from sgbench.leaderboard.board import show
    from sgbench.leaderboard.pages.brief import brief_latex, brief_markdown, html_page

    tree = record_tree(args, only=args.protocol)
    boards = show(tree)
    if args.html and boards.boards:
        sys.stdout.write(html_page(boards.boards))
    for board in () if args.html else boards.boards:
        if args.markdown or args.latex:
            sys.stdout.write(brief_latex(board) if args.latex else brief_markdown(board))
        else:
            _print_board(board, args)
    if not boards.boards:
        print_lines(f"no board: {tree.root} holds no valid record of a seed that reports")
    print_lines(left_out_lines(boards.findings))
    return findings_exit_code(boards.findings, has_rows=bool(boards.boards))


def _print_board(board: Board, args: argparse.Namespace) -> None:
    """Print a board: in a terminal five columns that fit; with --wide or in a pipe all, and energies."""
    from sgbench.leaderboard.pages.brief import energy_lines, outsider_lines

    width = screen(args)
    shown = brief_columns(board, width)
    print_lines([board.protocol.name, *board_lines(board, shown, width), ""])
    print_lines(_footnotes(board) if width is None else _short_notes(board, shown))
    if width is None or args.energy:
        print_lines(energy_lines(board, width))
    print_lines(outsider_lines(board, width))


def brief_columns(board: Board, width: int | None) -> list[BoardColumn]:
    """Choose the columns of a terminal: rank, method, score, spikes and one energy; costs give way to names.

    `board`: the board. `width`: of the screen [characters]; None: all columns.
    """
    from sgbench.leaderboard.pages.columns import ACTIVITY, ENERGY, columns_in

    columns = columns_in(board, "brief")
    if width is None:
        return columns
    shown = [column for column in columns if column.titles["brief"] in ("rank", "method", board.measure.title)]
    spikes = next(column for column in columns if column.group == ACTIVITY)
    energies = [column for column in columns if column.group == ENERGY][:1]
    shown = [column for column in columns if column in (*shown, spikes, *energies)]
    while len(shown) > FEWEST_COLUMNS and _natural(board, shown) > width:
        shown.pop()
    return shown


def _natural(board: Board, columns: Sequence[BoardColumn]) -> int:
    """Return how many characters a line of the table has where nothing is broken."""
    from sgbench.tables.text import GAP

    cells = zip(*_board_cells(board, columns), strict=True)
    return sum(max(map(len, column)) + len(GAP) for column in cells) - len(GAP)


def _board_cells(board: Board, columns: Sequence[BoardColumn]) -> list[list[str]]:
    """Return the head and the cells of each row; those without a rank have neither rank nor letters."""
    from sgbench.leaderboard.pages.columns import ENERGY

    ranked = {id(row) for row in board.rows}
    energies = [column for column in columns if column.group == ENERGY]
    short = {id(column): "energy, nJ" for column in energies[:1] if len(energies) == 1}
    head = [short.get(id(column), column.titles["brief"].removeprefix("test ")) for column in columns]
    rows = [
        [
            printable(column.cell(row).text)
            if id(row) in ranked or column.titles["brief"] not in ("rank", "alike")
            else ""
            for column in columns
        ]
        for row in board.shown
    ]
    return [head, *rows]


def board_lines(board: Board, columns: Sequence[BoardColumn], width: int | None) -> list[str]:
    """Write the lines of a board's table; none for a board without rows."""
    from sgbench.tables import aligned

    if not board.shown:
        return []
    names = [column.titles["brief"] for column in columns].index("method") + 1
    return aligned(_board_cells(board, columns), text_columns=names, width=width, least=len(columns))


def _short_notes(board: Board, columns: Sequence[BoardColumn]) -> list[str]:
    """Write what the table comes to, what its columns mean, and how to see more, in a line each."""
    from sgbench.leaderboard.pages.checked import cannot_rank, too_few, without_rows
    from sgbench.leaderboard.pages.columns import ENERGY

    if not board.rows:
        return [f"{without_rows(board)}{', see table.md' if board.retired else ''}"]
    first = sum(row.rank is not None and row.rank.low == 1 for row in board.rows)
    energy = [column.titles["brief"].partition(",")[0] for column in columns if column.group == ENERGY]
    return [
        too_few(board)
        or f"{first} of {len(board.rows)} may be the best: none is significantly better (95 % intervals)",
        *filter(None, [cannot_rank(board)]),
        *(["without a rank: claimed, or without spikes"] if len(board.shown) > len(board.rows) else []),
        f"{f'energy: dynamic, an inference on {energy[0]}; ' if energy else ''}more: --wide, --energy",
    ]


def _footnotes(board: Board) -> list[str]:
    """Return the lines below a board in the terminal: what its columns mean, and why rows have no rank."""
    from sgbench.leaderboard.pages.checked import cannot_rank, too_few, without_rows
    from sgbench.leaderboard.pages.solved_section import has_solved, solved_statement
    from sgbench.statistics.rank_places import ABOUT_LETTERS

    lines = []
    if board.rows or board.claimed or board.baselines:
        lines.append(
            f"{board.measure.kind}: mean over seeds with its 95 % interval (training noise on a fixed test set); "
            f"rank: the ranks that it may have; alike: {ABOUT_LETTERS}; energy: dynamic, per inference"
        )
    lines += filter(None, [too_few(board), cannot_rank(board)])
    if lines and has_solved(board):
        lines.append(solved_statement(board))
    if board.claimed:
        names = ", ".join(row.label for row in board.claimed)
        lines.append(f"without a rank: not repeated with success, so all of it is claimed: {names}")
    if board.baselines:
        lines.append("without a rank: baselines, networks without spikes")
    if lines and any(target.missing for target in board.targets):
        lines.append("*: a part of the energy; table.md names what the prices leave out")
    if not board.rows:
        lines.append(f"{without_rows(board)}{', see table.md' if board.retired else ''}")
    reasons = {
        f"-: no total on {name}: {reason}"
        for row in board.rows
        for name, energy in row.costs.energies.items()
        for reason in energy.reasons
    }
    return [printable(line) for line in [*lines, *sorted(reasons)]]


def _answer_with_findings(
    args: argparse.Namespace, tree: object, lines: Sequence[str], findings: Sequence[Finding]
) -> int:
    """Print the output of an action and its findings; return 1 if there are findings."""
    answer(args, tree, lines)
    return 1 if findings else 0


def _finding_lines(findings: Sequence[Finding], prefix: str) -> list[str]:
    return [f"{prefix}: {finding}" for finding in findings]
