"""`sgbench board explain | across | tuning | export | withdraw`: what records say beyond one table."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError, printable, suggest
from sgbench.paths import default_runs_dir

if TYPE_CHECKING:
    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.explain import Hits
    from sgbench.leaderboard.reading import Finding
    from sgbench.leaderboard.rows import Row

LEADERBOARDS = Path("leaderboards")
WIDTH = 100
CURVE_POINTS = (1, 5, 10)


def register(actions: Any) -> None:
    """Add the subcommands to those of `board`."""
    explain = actions.add_parser(
        "explain", help="two methods in plain sentences: which is better, and how sure"
    )
    explain.add_argument("a", metavar="A", help="a method: its id, its beginning, or its surrogate's name")
    explain.add_argument("b", metavar="B", help="another")
    _source(explain, default="leaderboards")
    _finish(explain, _explain)
    across = actions.add_parser("across", help="methods over several tasks: interquartile mean, ranks")
    _source(across, default="runs", several=True)
    _by(across)
    _finish(across, _across)
    tuning = actions.add_parser(
        "tuning", help="how methods answer to their settings: budget, slope, failures"
    )
    _source(tuning, default="runs")
    _by(tuning)
    _finish(tuning, _tuning)
    export = actions.add_parser("export", help="all records as one flat table")
    _source(export, default="leaderboards", several=True)
    export.add_argument("--format", choices=("csv", "json", "parquet"), default="csv", help="default: csv")
    export.add_argument(
        "--out", type=Path, metavar="FILE", help="default: standard output; parquet needs one"
    )
    _finish(export, _export, machine=False)
    withdraw = actions.add_parser("withdraw", help="say that a method no longer counts; nothing is deleted")
    withdraw.add_argument("method", metavar="ID", help="of the method")
    withdraw.add_argument("--protocol", required=True, metavar="NAME")
    withdraw.add_argument("--reason", required=True, help="one sentence")
    withdraw.add_argument("--superseded-by", metavar="ID", help="the method that replaces it")
    withdraw.add_argument(
        "--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards"
    )
    _finish(withdraw, _withdraw)


def _source(parser: argparse.ArgumentParser, *, default: str, several: bool = False) -> None:
    parser.add_argument(
        "--from", dest="layout", choices=("runs", "leaderboards"), default=default, help=f"default: {default}"
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="default: the runs folder, or leaderboards")
    action = "append" if several else "store"
    parser.add_argument("--protocol", action=action, metavar="NAME", help="this protocol alone")


def _by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by", default="surrogate", metavar="GROUPS", help="what makes a family, e.g. surrogate,neuron"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (PNG)")


def _finish(parser: argparse.ArgumentParser, handler: Any, *, machine: bool = True) -> None:
    parser.add_argument(
        "--config-dir", action="append", default=[], type=Path, metavar="DIR", help="entries of your own"
    )
    if machine:
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(handler=handler)


def _references(args: argparse.Namespace) -> References:
    from sgbench.leaderboard.deviation import References

    return References(args.config_dir)


def _root(args: argparse.Namespace) -> Path:
    if args.root is not None:
        return args.root
    return default_runs_dir() if args.layout == "runs" else LEADERBOARDS


def _explain(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.board import show
    from sgbench.leaderboard.explain import explain, find_row
    from sgbench.leaderboard.store import protocols

    root = _root(args)
    names = protocols(root)
    protocol = args.protocol or (names[0] if len(names) == 1 else None)
    if protocol is None:
        raise InputError(f"--protocol: one of {', '.join(names)} is needed")
    found = show(root, layout=args.layout, references=_references(args), protocol=protocol)
    if not found.boards:
        raise InputError(f"{root / protocol}: no valid record")
    (board,) = found.boards
    a, b = find_row(board, args.a), find_row(board, args.b)
    hits = {row.method_id: stored for row in (a, b) if (stored := _hits(root, args.layout, protocol, row))}
    explained = explain(board, a, b, hits=hits)
    if args.json:
        _json(asdict(explained))
        return 0
    for sentence in explained.sentences:
        sys.stdout.write(textwrap.fill(printable(sentence), WIDTH) + "\n")
    return 0


def _hits(root: Path, layout: str, protocol: str, row: Row) -> Hits:
    """The stored predictions of a method's finished seeds, scored."""
    from sgbench.leaderboard.objects import Objects
    from sgbench.leaderboard.predictions import MAX_PREDICTION_BYTES, parse_predictions
    from sgbench.leaderboard.store import RECORDS
    from sgbench.paths import PREDICTIONS, RECORD
    from sgbench.records.files import read_bytes, read_model
    from sgbench.records.record import RunRecord

    objects = Objects(root / protocol)
    found = {}
    for seed in sorted(set(row.accuracies) - set(row.failed_seeds)):
        if layout == "leaderboards":
            path = root / protocol / RECORDS / row.method_id / f"{seed}.json"
            sha256 = read_model(path, RunRecord).predictions_sha256
            data = None if sha256 is None else objects.get(sha256, "csv")
        else:
            path = root / protocol / row.method_id / str(seed) / RECORD
            beside = path.with_name(PREDICTIONS)
            data = read_bytes(beside, limit=MAX_PREDICTION_BYTES) if beside.is_file() else None
        if data is not None:
            found[seed] = parse_predictions(data, str(path)).hits
    return found


def _across(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.families import across_tasks, check_groups
    from sgbench.leaderboard.measuring import measure_all
    from sgbench.leaderboard.pictures import across_png

    by = check_groups(args.by.split(","))
    findings: list[Finding] = []
    references = _references(args)
    measured = measure_all(_root(args), layout=args.layout, references=references, findings=findings)
    wanted = {name: measured[name] for name in _asked(args.protocol, sorted(measured))}
    found = across_tasks(wanted, {name: references.of(name).classes for name in wanted}, by=by)
    _plot(args.plot, lambda: across_png(found))
    if args.json:
        standings = [
            {**asdict(each), "tasks": [list(map(float, task)) for task in each.tasks]}
            for each in found.standings
        ]
        _json({**asdict(found), "standings": standings})
        return _said(findings)
    header = [args.by, "interquartile mean, %", "95 % interval", "mean rank", *found.tasks, "settings tried"]
    rows = [
        [
            each.name,
            f"{100 * each.interquartile_mean:.2f}",
            f"{100 * each.low:.2f} to {100 * each.high:.2f}",
            "-" if each.mean_rank is None else f"{each.mean_rank:.2f}",
            *(f"{100 * float(task.mean()):.2f}" for task in each.tasks),
            " ".join(map(str, each.settings)),
        ]
        for each in found.standings
    ]
    _table(header, rows)
    _say(
        "accuracy between guessing (0 %) and perfection (100 %); each task by the setting that validation selects;"
    )
    _say("intervals draw seeds anew within each task and cover training noise on fixed test sets")
    if found.ranks is not None:
        _say(
            f"ranks over {len(found.tasks)} tasks: Friedman p = {found.ranks.p:.2g}; mean ranks less than "
            f"{found.ranks.critical_difference:.2f} apart are not told apart (Nemenyi, 5 %)"
        )
    if found.left_out:
        _say(f"left out, since not on every task: {', '.join(found.left_out)}")
    return _said(findings)


def _tuning(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.families import check_groups, families, tuned
    from sgbench.leaderboard.measuring import measure_all
    from sgbench.leaderboard.pictures import tuning_png

    by = check_groups(args.by.split(","))
    findings: list[Finding] = []
    measured = measure_all(
        _root(args),
        layout=args.layout,
        references=_references(args),
        findings=findings,
        protocol=args.protocol,
    )
    if len(measured) != 1:
        raise InputError(f"--protocol: one of {', '.join(sorted(measured)) or 'none'} is needed")
    ((protocol, methods),) = measured.items()
    found = [tuned(name, family) for name, family in families(methods, by).items()]
    found.sort(key=lambda each: (-each.best_test, each.name))
    _plot(args.plot, lambda: tuning_png(found))
    if args.json:
        _json({"protocol": protocol, "families": [asdict(each) for each in found]})
        return _said(findings)
    header = [
        args.by,
        "settings",
        "failed runs, %",
        "best on validation",
        "mean of ten best",
        "over slopes (slopes)",
    ]
    header += [f"best of {n}" for n in CURVE_POINTS]
    rows = [
        [
            each.name,
            str(each.settings),
            f"{100 * each.failed_share:.0f}",
            f"{100 * each.best_test:.2f}",
            f"{100 * each.ten_best:.2f}",
            "-" if each.slope_sensitivity is None else f"{100 * each.slope_sensitivity:.2f} ({each.slopes})",
            *(f"{100 * each.expected_test[n - 1]:.2f}" if n <= each.settings else "-" for n in CURVE_POINTS),
        ]
        for each in found
    ]
    _say(protocol)
    _table(header, rows)
    _say(
        "test accuracy, %, of settings that validation selects; best of n: expected over all choices of n settings;"
    )
    _say(
        "over slopes: the mean over the logarithm of the slope, equal to the best where the slope does not matter"
    )
    return _said(findings)


def _export(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.export import encode, to_table, write
    from sgbench.leaderboard.store import protocols, read_methods

    root = _root(args)
    findings: list[Finding] = []
    chosen = _asked(args.protocol, protocols(root))
    groups = read_methods(root, layout=args.layout, references=_references(args), findings=findings)
    table = to_table(record for group in groups if group[0].protocol in chosen for record in group)
    if args.out is not None:
        write(args.out, table, args.format)
        _say(f"{args.out}: {len(next(iter(table.values()), []))} records")
    elif args.format == "parquet":
        raise InputError("--out: parquet is no text; name a file")
    else:
        sys.stdout.write(encode(table, args.format).decode())
    for finding in findings:
        sys.stderr.write(printable(f"left out: {finding.path}: {finding.reason}") + "\n")
    return 1 if findings else 0


def _withdraw(args: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from sgbench.leaderboard.dossier import place
    from sgbench.leaderboard.store import RECORDS, protocols
    from sgbench.records.files import first_problem
    from sgbench.records.trust import Notice

    (name,) = protocols(args.root, only=args.protocol)
    folder = args.root / name
    known = sorted(path.name for path in (folder / RECORDS).glob("*"))
    for method in (args.method, *([args.superseded_by] if args.superseded_by else [])):
        if method not in known:
            raise InputError(f"{name} has no method '{method}'; {suggest(method, known)}")
    try:
        notice = Notice(
            schema_version=1,
            protocol=name,
            method_id=args.method,
            kind="withdrawn" if args.superseded_by is None else "superseded",
            superseded_by=args.superseded_by,
            reason=args.reason,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    except ValidationError as error:
        raise InputError(f"--{first_problem(error)}") from error
    path = place(folder, notice)
    if args.json:
        _json({"written": str(path), "kind": notice.kind})
    else:
        _say(f"{path}: {notice.kind}; next: sgbench board build --from leaderboards --root {args.root}")
    return 0


def _asked(asked: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    for name in asked or ():
        if name not in known:
            raise InputError(f"--protocol {name}: no records of it; {suggest(name, known)}")
    return list(asked or known)


def _plot(path: Path | None, draw: Any) -> None:
    if path is not None:
        from sgbench.records.files import write_atomic

        write_atomic(path, draw())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from sgbench.cli.columns import aligned

    for line in aligned([list(header), *map(list, rows)], words=1):
        _say(line)


def _said(findings: Sequence[Finding]) -> int:
    for finding in findings:
        sys.stderr.write(printable(f"left out: {finding.path}: {finding.reason}") + "\n")
    return 1 if findings else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")


def _json(tree: object) -> None:
    sys.stdout.write(json.dumps(tree, indent=1, sort_keys=True) + "\n")
