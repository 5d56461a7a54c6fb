"""`python -m benchmarks`: thin; what is heavy is imported by the subcommand that needs it."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sgbench.errors import InputError, SgbenchError, one_printable_line, suggest

ABOUT = "Speed and memory of sgbench, measured beside snnTorch and other frameworks in one process."
EPILOG = """examples:
  python -m benchmarks engine --workload w1_ff
  python -m benchmarks engine --workload w1_ff --density 0.1 --threads 2 --busy
  python -m benchmarks peers --workload w2 --json w2.json
  python -m benchmarks memory --workload w1_ff
  python -m benchmarks run
  python -m benchmarks short_run
  python -m benchmarks data
  python -m benchmarks sweep --batch 128 --hidden 256
  python -m benchmarks long_sweep
  python -m benchmarks basic_sweep
  python -m benchmarks places --on local,slurm
  python -m benchmarks equivalence
  python -m benchmarks counting
  python -m benchmarks rules --steps 400
  python -m benchmarks scaling
  python -m benchmarks formula
  python -m benchmarks board
  python -m benchmarks site
  python -m benchmarks interrupts
  python -m benchmarks headline
  python -m benchmarks table
  python -m benchmarks rules_table
  python -m benchmarks scaling_table

exit codes: 0 fine, 1 a contender computes something else (nothing is timed), 2 bad input, 130 stopped"""
WORKLOADS = """workloads:
  w1_ff    700 channels of sparse input, 256 neurons, leaky readout, cross-entropy, Adam
  w1_rec   the same, the hidden layer recurrent all to all
  w1_deep  the same with two hidden layers
  w2       512 channels of dense noise into 512 neurons, 500 steps, gradient of the number of spikes
  w3       images of events, two convolutions with pooling, three layers that fire, Adam"""
ENGINES = ("auto", "fused", "scan", "generated", "reference", "snntorch")  # known before torch is loaded
COUNTS = {
    "batch": "samples of a step",
    "hidden": "hidden neurons",
    "inputs": "input channels",
    "steps": "time steps",
    "epochs": "epochs of each run",
    "rounds": "times each is run",
    "workers": "processes at a time",
    "seeds": "runs of each kind",
    "processes": "processes of snnTorch that stand for all",
    "samples": "recordings that are made",
    "spikes": "spikes of a recording, about",
    "batches": "batches of a round",
    "methods": "methods of the board, of five records each",
    "tries": "runs that are interrupted",
}
SIZES = ("batch", "hidden", "steps", "inputs", "density")


class OneLineParser(argparse.ArgumentParser):
    """Reports bad input in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit code 2."""
        raise InputError(f"{message}; see: {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    try:
        args = parser().parse_args(argv)
        return args.handler(args)
    except SgbenchError as error:
        sys.stdout.flush()
        sys.stderr.write(f"benchmarks: error: {one_printable_line(error)}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("benchmarks: stopped\n")
        return 130
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away; what is left has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """The grammar of all subcommands."""
    raw = argparse.RawDescriptionHelpFormatter
    top = OneLineParser(prog="python -m benchmarks", description=ABOUT, epilog=EPILOG, formatter_class=raw)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    engine = commands.add_parser(
        "engine", help="sgbench's engines against snnTorch", epilog=WORKLOADS, formatter_class=raw
    )
    peers = commands.add_parser("peers", help="other frameworks as well", epilog=WORKLOADS, formatter_class=raw)
    memory = commands.add_parser(
        "memory", help="memory that three training steps add", epilog=WORKLOADS, formatter_class=raw
    )
    run = commands.add_parser("run", help="a whole `sgbench run` against the bare engine")
    data = commands.add_parser("data", help="batches of recorded spikes against tonic and a training step")
    counting = commands.add_parser("counting", help="what exact counts of operations add to an evaluation")
    for command in (engine, peers, memory):
        _add_workload(command)
    for command in (engine, memory):
        command.add_argument("--precision", choices=("float32", "float64"), default="float32")
    for command, rounds in ((engine, 9), (peers, 9), (run, 5)):
        command.add_argument("--rounds", type=int, default=rounds, help=f"times each is run (default {rounds})")
        command.add_argument("--busy", action="store_true", help="with a process that spins beside")
    memory.add_argument("--peers", action="store_true", help="other frameworks as well")
    _add_counts(run, (("batch", 128), ("hidden", 256), ("steps", 100), ("epochs", 2)))
    run.add_argument("--engine", default="auto", choices=ENGINES, help="of both (default auto)")
    _add_counts(data, (("samples", 8156), ("spikes", 8000), ("batch", 128), ("hidden", 256), ("steps", 100)))
    _add_counts(data, (("batches", 10), ("rounds", 5)))
    data.add_argument("--workers", type=int, default=0, metavar="N", help="of tonic's DataLoader (default 0)")
    _add_counts(counting, (("batch", 64), ("rounds", 30)))
    short = commands.add_parser("short_run", help="CPU time of a whole `sgbench run` of one epoch, by parts")
    _add_counts(short, (("rounds", 5),))
    short.set_defaults(handler=_measure, module="short_run", settings="ShortRunSettings")
    _add_json(short)
    _add_boards(commands)
    interrupts = commands.add_parser("interrupts", help="one Ctrl-C at moments spread over a sweep")
    _add_counts(interrupts, (("tries", 200),))
    interrupts.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default 0)")
    interrupts.set_defaults(handler=_measure, module="interrupts", settings="InterruptSettings")
    _add_json(interrupts)
    _add_own_code(commands)
    _add_sweeps(commands)
    _add_headline(commands)
    rules_table = commands.add_parser("rules_table", help="the tables of docs/rules.md, from stored results")
    rules_table.set_defaults(handler=_rules_table)
    for command in (engine, peers, memory, run, data, counting):
        _add_common(command)
    engine.set_defaults(handler=_compare, with_peers=False)
    peers.set_defaults(handler=_compare, with_peers=True, precision="float32")
    memory.set_defaults(handler=_memory)
    run.set_defaults(handler=_measure, module="whole_run", settings="RunSettings")
    counting.set_defaults(handler=_measure, module="counting", settings="CountingSettings")
    data.set_defaults(handler=_measure, module="data", settings="DataSettings")
    return top


def _add_boards(commands: Any) -> None:
    board = commands.add_parser("board", help="sgbench board build over 10,000 made-up records")
    _add_counts(board, (("methods", 2000), ("rounds", 5)))
    board.add_argument("--seed", type=int, default=0, metavar="N", help="of the scores (default 0)")
    board.set_defaults(handler=_measure, module="board", settings="BoardSettings")
    _add_json(board)
    site = commands.add_parser("site", help="sgbench board site over as many, and a page of 1000 rows in a browser")
    _add_counts(site, (("methods", 2000), ("rounds", 3)))
    site.set_defaults(handler=_measure, module="site", settings="SiteSettings")
    _add_json(site)


def _add_headline(commands: Any) -> None:
    """Add the speeds of README.md and docs/engine.md: measuring them, and writing the pages."""
    headline = commands.add_parser(
        "headline", help="every speed of README.md and docs/engine.md, in turn; then writes both pages"
    )
    headline.add_argument("--rounds", type=int, metavar="N", help="at most, of each (default: 15, 9 or 3)")
    headline.add_argument("--into", type=Path, metavar="FOLDER", help="results alone go there, and no page is written")
    headline.add_argument("--without-peers", action="store_true", help="other frameworks keep their stored results")
    headline.set_defaults(handler=_headline)
    table = commands.add_parser("table", help="writes both pages, from stored results")
    table.add_argument("--from", dest="folder", type=Path, metavar="FOLDER", help="prints the table of other results")
    table.set_defaults(handler=_table)


def _add_own_code(commands: Any) -> None:
    rules = commands.add_parser("rules", help="learning rules against back-propagation: time and memory")
    _add_counts(rules, (("batch", 16), ("hidden", 128), ("inputs", 100), ("steps", 100), ("rounds", 9)))
    rules.add_argument("--threads", type=int, default=1, metavar="N", help="threads and cores (default 1)")
    rules.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and input (default 0)")
    rules.add_argument(
        "--lengths", type=int, nargs="+", default=(), metavar="N", help="steps at which memory is measured"
    )
    rules.add_argument("--recurrence", choices=("none", "all_to_all"), help="one kind of layer (default both)")
    rules.set_defaults(handler=_measure, module="rules", settings="RulesSettings")
    _add_json(rules)
    scaling = commands.add_parser("scaling", help="time and memory of gradients against neurons and steps")
    _add_counts(scaling, (("batch", 16), ("rounds", 5)))
    scaling.add_argument("--threads", type=int, default=1, metavar="N", help="threads and cores (default 1)")
    scaling.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and input (default 0)")
    scaling.set_defaults(handler=_measure, module="scaling", settings="ScalingSettings")
    _add_json(scaling)
    scaled = commands.add_parser("scaling_table", help="exponents and picture of docs/rules.md, from a stored result")
    scaled.set_defaults(handler=_scaling_table)
    generated = commands.add_parser("generated", help="neurons with a step alone: written loops, reference")
    _add_counts(generated, (("batch", 128), ("hidden", 256), ("steps", 100), ("epochs", 1), ("rounds", 3)))
    generated.set_defaults(handler=_measure, module="generated", settings="GeneratedSettings")
    generated.add_argument("--threads", type=int, default=1, metavar="N", help="threads and cores (default 1)")
    generated.add_argument("--seed", type=int, default=0, metavar="N", help="of weights (default 0)")
    _add_json(generated)
    formula = commands.add_parser("formula", help="a surrogate as a formula against its shape by name, fused")
    _add_counts(formula, (("batch", 128), ("hidden", 256), ("steps", 100), ("rounds", 41)))
    formula.set_defaults(handler=_measure, module="formula", settings="FormulaSettings")
    formula.add_argument("--threads", type=int, default=1, metavar="N", help="threads and cores (default 1)")
    formula.add_argument("--seed", type=int, default=0, metavar="N", help="of currents (default 0)")
    _add_json(formula)


def _add_sweeps(commands: Any) -> None:
    """What is about many runs."""
    sweep = commands.add_parser("sweep", help="16 runs as processes of snnTorch, with Hydra's launcher, as replicas")
    _add_counts(sweep, (("batch", 32), ("hidden", 64), ("rounds", 1), ("workers", 2)))
    sweep.set_defaults(handler=_measure, module="sweep", settings="SweepSettings")
    long = commands.add_parser("long_sweep", help="100 runs of 30 epochs as replicas, against snnTorch")
    _add_counts(long, (("batch", 128), ("hidden", 64), ("epochs", 30), ("seeds", 10)))
    _add_counts(long, (("workers", 2), ("processes", 4)))
    long.set_defaults(handler=_measure, module="sweep_long", settings="LongSettings")
    basic = commands.add_parser(
        "basic_sweep", help="100 tiny runs as replicas, against Hydra's basic launcher with Lightning"
    )
    _add_counts(basic, (("batch", 128), ("hidden", 64), ("epochs", 1), ("seeds", 10), ("workers", 2)))
    basic.add_argument(
        "--basic-seeds", type=int, default=10, metavar="N", help="seeds of the script, which stand for all (10)"
    )
    basic.set_defaults(handler=_measure, module="sweep_basic", settings="BasicSettings")
    alike = commands.add_parser("equivalence", help="float32: accuracies of replicas and of runs alone")
    _add_counts(alike, (("seeds", 20), ("epochs", 30)))
    alike.add_argument("--margin", type=float, default=0.01, metavar="D", help="of accuracy (default 0.01)")
    alike.set_defaults(handler=_measure, module="equivalence", settings="EquivalenceSettings")
    places = commands.add_parser("places", help="tiny points on this machine, on SLURM, on Ray: what each costs")
    places.add_argument("--on", default="local", metavar="NAMES", help="local, slurm, ray (default local)")
    _add_counts(places, (("seeds", 50), ("workers", 2)))
    places.set_defaults(handler=_measure, module="places", settings="PlacesSettings")
    for command in (sweep, long, basic, alike, places):
        _add_json(command)


def _add_workload(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workload", required=True, metavar="NAME", help="see below")
    command.add_argument("--batch", type=int, metavar="N", help="samples of a step")
    command.add_argument("--hidden", type=int, metavar="N", help="neurons of a hidden layer; of w2 also inputs")
    command.add_argument("--steps", type=int, metavar="N", help="time steps")
    command.add_argument("--inputs", type=int, metavar="N", help="input channels of w1")
    command.add_argument("--density", type=float, metavar="P", help="share of input entries that are 1")


def _add_counts(command: argparse.ArgumentParser, counts: Sequence[tuple[str, int]]) -> None:
    for name, default in counts:
        what = f"{COUNTS[name]} (default {default})"
        command.add_argument(f"--{name}", type=int, metavar="N", default=default, help=what)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--threads", type=int, default=1, metavar="N", help="threads and cores (default 1)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and input (default 0)")
    command.add_argument("--default-allocator", action="store_true", help="freed memory goes back to the system")
    _add_json(command)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", type=Path, metavar="FILE", help="write everything, each round too")


def _settings(args: argparse.Namespace) -> Any:
    """Checked, before anything is measured."""
    from benchmarks import report, workloads
    from benchmarks.comparison import Settings

    if args.workload not in workloads.WORKLOADS:
        raise InputError(f"--workload {args.workload}: {suggest(args.workload, workloads.WORKLOADS)}")
    sizes = workloads.WORKLOADS[args.workload].sizes.resized(**{name: getattr(args, name) for name in SIZES})
    _check_counts(args)
    report.check_json(args.json)
    fields = {name: getattr(args, name) for name in Settings.__dataclass_fields__ if hasattr(args, name)}
    return Settings(**fields, sizes=sizes)


def _check_counts(args: argparse.Namespace) -> None:
    from sgbench.errors import require_count

    for name in ("threads", *COUNTS):
        if getattr(args, name, None) is not None:
            low = 0 if name == "workers" and args.settings == "DataSettings" else 1
            require_count(f"--{name}", getattr(args, name), low=low)
    if hasattr(args, "seed"):
        require_count("--seed", args.seed, low=0)


def _compare(args: argparse.Namespace) -> int:
    settings = _settings(args)
    from benchmarks import comparison, report

    tree = comparison.compare(settings, with_peers=args.with_peers)
    print(comparison.show(tree))
    report.write_json(args.json, tree)
    return 0


def _memory(args: argparse.Namespace) -> int:
    settings = _settings(args)
    from benchmarks import memory, report

    tree = memory.compare(settings, with_peers=args.peers)
    print(memory.show(tree))
    report.write_json(args.json, tree)
    return 0


def _measure(args: argparse.Namespace) -> int:
    """A subcommand with a module of its own."""
    from benchmarks import report

    _check_counts(args)
    report.check_json(args.json)
    module = importlib.import_module(f"benchmarks.{args.module}")
    kind = getattr(module, args.settings)
    tree = module.compare(kind(**{name: getattr(args, name) for name in kind.__dataclass_fields__}))
    print(module.show(tree))
    report.write_json(args.json, tree)
    return 0


def _headline(args: argparse.Namespace) -> int:
    from benchmarks import headline
    from sgbench.errors import require_count

    if args.rounds is not None:
        require_count("--rounds", args.rounds)
    into = args.into or headline.RESULTS
    headline.measure(headline.HeadlineSettings(args.rounds, into, peers=not args.without_peers))
    if args.into is None:
        headline.rewrite()
    return 0


def _table(args: argparse.Namespace) -> int:
    from benchmarks import headline

    print(headline.table(args.folder or headline.RESULTS))
    if args.folder is None:
        headline.rewrite()
    return 0


def _rules_table(_: argparse.Namespace) -> int:
    from benchmarks import rules_table

    rules_table.rewrite()
    return 0


def _scaling_table(_: argparse.Namespace) -> int:
    from benchmarks import rules_table

    rules_table.rewrite_scaling()
    return 0


if __name__ == "__main__":
    sys.exit(main())
