"""`sgbench judge`: test whether a surrogate is better than, equal to or worse than known ones."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sgbench.cli.common import add_author, answer, author_of, print_lines, shared_options
from sgbench.errors import InputError

EPILOG = """examples:
  sgbench judge gaussian --to verdict_gaussian
  sgbench judge formula "surrogate.formula='1/(1+abs(a*u))**3'" --to mine --workers 2
  sgbench judge mine --config-dir my_conf --allow-target my_package.Mine --tasks whole --calibrated
  sgbench judge atan --target loihi1 --to atan --name "my method" --contact @me --code https://example.org/mine

The candidate alone is run, on tasks of the study of surrogates with the reset, grids and budget of its stored \
runs: a quick set of four tasks, or the whole of six. Known shapes are the stored runs, each at its own best. The \
same command goes on where it was stopped, and repeats nothing. A verdict is of three kinds of network, at one level \
for all.

{tasks}"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Writes the titles of tasks into the help, which are only read where it is printed."""

    def add_text(self, text: str | None) -> None:
        super().add_text(text.replace("{tasks}", _tasks()) if text and "{tasks}" in text else text)


def _tasks() -> str:
    """Write the table of tasks and of the sets that hold them, for the help."""
    from sgbench.recommendation.summary import read_summary, shipped_summary
    from sgbench.study_runner.judge.field import SETS, titles
    from sgbench.tables import aligned

    rows = [
        [f"  {title}", ", ".join(name for name, members in SETS.items() if task in members)]
        for task, title in titles(read_summary(shipped_summary())).items()
    ]
    return "\n".join(["tasks, of which a beginning suffices, and their sets:", *aligned(rows, text_columns=2)])


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "judge",
        help="better, equal or worse than the known surrogates, and for which networks",
        epilog=EPILOG,
        formatter_class=_Formatter,
        parents=shared_options(),
    )
    parser.add_argument(
        "overrides", nargs="+", metavar="OVERRIDE", help="a surrogate, then its parameters, e.g. surrogate.a=3"
    )
    parser.add_argument(
        "--tasks", default="quick", metavar="SET", help="quick, whole, or titles with commas (default: quick)"
    )
    parser.add_argument("--to", type=Path, default=Path("verdict"), metavar="DIR", help="default: verdict")
    parser.add_argument(
        "--calibrated", action="store_true", help="a second verdict, at the width that passing steps choose"
    )
    parser.add_argument(
        "--seeds", type=int, default=20, metavar="N", help="that report, at most: 5, 10 or 20 (default: 20)"
    )
    parser.add_argument(
        "--target", action="append", default=[], metavar="NAME", help="an energy target, may be repeated"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--runs-dir", type=Path, metavar="DIR", help="where its runs lie")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    parser.add_argument("--name", help="with --contact: make submissions, of a method of this name")
    add_author(parser)
    parser.set_defaults(handler=judge_command)


def judge_command(args: argparse.Namespace) -> int:
    """Run the missing runs of a candidate, write the verdict's files, and print a line for each kind of network."""
    from sgbench.study_runner.judge.decide import MARGIN
    from sgbench.study_runner.judge.judged import judge

    if (args.name is None) != (args.contact is None):
        raise InputError("--name and --contact: give both, to make submissions, or neither")
    result = judge(
        *args.overrides,
        tasks=args.tasks,
        to=args.to,
        calibrated=args.calibrated,
        most_seeds=args.seeds,
        targets=args.target,
        runs_dir=args.runs_dir,
        data_dir=args.data_dir,
        workers=args.workers,
        say=lambda line: print_lines(line, sys.stderr),
        config_dirs=args.config_dir,
        allow_targets=args.allow_target,
        author=None if args.name is None else author_of(args),
    )
    lines = []
    for verdict in result.verdicts().values():
        margin = f" within {MARGIN:g} points" if verdict.word == "equal" else ""
        lines.append(
            f"{verdict.regime}: {verdict.word}{margin}, {verdict.difference:+z.1f} points, {verdict.seeds} seeds"
        )
    lines.append(str(args.to / "verdict.md"))
    lines += result.handed_in
    return answer(args, [asdict(verdict) for verdict in result.verdicts().values()], lines)
