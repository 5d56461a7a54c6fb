"""`python -m benchmarks`: thin; what is heavy is imported by the subcommand that needs it."""

import argparse
import dataclasses
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
  python -m benchmarks sweep --batch 128 --hidden 256
  python -m benchmarks rules --steps 400

exit codes: 0 fine, 1 a contender computes something else (nothing is timed), 2 bad input, 130 stopped"""
WORKLOADS = """workloads:
  w1_ff    700 channels of sparse input, 256 neurons, leaky readout, cross-entropy, Adam
  w1_rec   the same, the hidden layer recurrent all to all
  w1_deep  the same with two hidden layers
  w2       512 channels of dense noise into 512 neurons, 500 steps, gradient of the number of spikes
  w3       images of events, two convolutions with pooling, three layers that fire, Adam"""
OPTIONS = {
    "batch": "samples of a step",
    "hidden": "hidden neurons",
    "inputs": "input channels",
    "steps": "time steps",
    "epochs": "epochs of each run",
    "rounds": "times each is run",
    "workers": "processes at a time",
    "seeds": "runs of each kind",
    "basic_seeds": "seeds of the script, which stand for all",
    "processes": "processes of snnTorch that stand for all",
    "samples": "recordings that are made",
    "spikes": "spikes of a recording, about",
    "batches": "batches of a round",
    "methods": "methods of the board, of five records each",
    "threads": "threads and cores",
    "seed": "of all random numbers",
    "busy": "with a process that spins beside",
    "default_allocator": "freed memory goes back to the system",
    "engine": "of both",
    "longest": "longest delay, in steps",
    "lengths": "steps at which memory is measured",
    "recurrence": "one kind of layer, in place of both",
    "on": "local, slurm, ray",
}
MEASURED = {
    "run": ("whole_run.RunSettings", "a whole `sgbench run` against the bare engine"),
    "data": ("data.DataSettings", "batches of recorded spikes against tonic and a training step"),
    "counting": ("counting.CountingSettings", "what exact counts of operations add to an evaluation"),
    "short_run": ("short_run.ShortRunSettings", "CPU time of a whole `sgbench run` of one epoch, by parts"),
    "board": ("board.BoardSettings", "sgbench board build over 10,000 made-up records"),
    "site": ("site.SiteSettings", "python -m registry site over as many, and a page of 1000 rows in a browser"),
    "rules": ("rules.RulesSettings", "learning rules against back-propagation: time and memory"),
    "scaling": ("scaling.ScalingSettings", "time and memory of gradients against neurons and steps"),
    "delays": ("delays.DelaysSettings", "a step with learnt delays of up to 25 steps, against one without"),
    "generated": ("generated.GeneratedSettings", "neurons with a step alone: written loops, reference"),
    "formula": ("formula.FormulaSettings", "a surrogate as a formula against its shape by name, fused"),
    "sweep": ("sweep.SweepSettings", "16 runs as processes of snnTorch, with Hydra's launcher, as replicas"),
    "long_sweep": ("sweep_long.LongSettings", "100 runs of 30 epochs as replicas, against snnTorch"),
    "basic_sweep": ("sweep_basic.BasicSettings", "100 tiny runs as replicas, against Hydra's launcher and Lightning"),
}
"""Maps a command to its settings, whose fields are its options, and to its line of help."""
REWRITTEN = {
    "rules_table": ("rewrite", "the tables of docs/rules.md, from stored results"),
    "scaling_table": ("rewrite_scaling", "exponents and picture of docs/rules.md, from a stored result"),
}
"""Maps a command to its function in `rules_table`, and to its line of help."""
SIZES = ("batch", "hidden", "steps", "inputs", "density")


class OneLineParser(argparse.ArgumentParser):
    """Reports bad input in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see: {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code, as the help describes it."""
    try:
        words = sys.argv[1:] if argv is None else argv
        args = parser(next(iter(words), "")).parse_args(words)
        args.handler(args)
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


def parser(chosen: str = "") -> argparse.ArgumentParser:
    """Build the parser of all subcommands; only the `chosen` one has its options, as modules are slow to import."""
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
    for command in (engine, peers, memory):
        _add_workload(command)
    for command in (engine, memory):
        command.add_argument("--precision", choices=("float32", "float64"), default="float32")
    for command in (engine, peers):
        _add_option(command, "rounds", 9)
        _add_option(command, "busy", default=False)
    memory.add_argument("--peers", action="store_true", help="other frameworks as well")
    engine.set_defaults(handler=_compare, with_peers=False)
    peers.set_defaults(handler=_compare, with_peers=True, precision="float32")
    memory.set_defaults(handler=_memory)
    for name, (path, help_line) in MEASURED.items():
        command = commands.add_parser(name, help=help_line)
        if name == chosen:
            module, _, class_name = path.partition(".")
            settings = getattr(importlib.import_module(f"benchmarks.{module}"), class_name)
            for field in dataclasses.fields(settings):
                _add_option(command, field.name, field.default, **field.metadata)
            command.set_defaults(handler=_measure, module=module, settings=settings)
            _add_json(command)
    _add_headline(commands)
    for name, (function, help_line) in REWRITTEN.items():
        commands.add_parser(name, help=help_line).set_defaults(handler=_rewrite, function=function)
    return top


def _add_headline(commands: Any) -> None:
    """Add the commands that measure the speeds of README.md and docs/engine.md, and that write both pages."""
    headline = commands.add_parser(
        "headline", help="every speed of README.md and docs/engine.md, in turn; then writes both pages"
    )
    headline.add_argument("--rounds", type=int, metavar="N", help="at most, of each (default: 15, 9 or 3)")
    headline.add_argument("--to", type=Path, metavar="FOLDER", help="results alone go there, and no page is written")
    headline.add_argument("--without-peers", action="store_true", help="other frameworks keep their stored results")
    headline.set_defaults(handler=_headline)
    table = commands.add_parser("table", help="writes both pages, from stored results")
    table.add_argument("--from", dest="folder", type=Path, metavar="FOLDER", help="prints the table of other results")
    table.set_defaults(handler=_table)


def _add_workload(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workload", required=True, metavar="NAME", help="see below")
    command.add_argument("--batch", type=int, metavar="N", help="samples of a step")
    command.add_argument("--hidden", type=int, metavar="N", help="neurons of a hidden layer; of w2 also inputs")
    command.add_argument("--steps", type=int, metavar="N", help="time steps")
    command.add_argument("--inputs", type=int, metavar="N", help="input channels of w1")
    command.add_argument("--density", type=float, metavar="P", help="share of input entries that are 1")
    _add_option(command, "threads", 1)
    _add_option(command, "seed", 0)
    _add_option(command, "default_allocator", default=False)
    _add_json(command)


def _add_option(command: argparse.ArgumentParser, name: str, default: Any, **options: Any) -> None:
    """Add an option of `OPTIONS`: a flag, a whole number, or as `options` of argparse say, by the type of `default`."""
    flag, meaning = f"--{name.replace('_', '-')}", OPTIONS[name]
    if default is False:
        command.add_argument(flag, action="store_true", help=meaning)
    elif isinstance(default, int):
        command.add_argument(flag, type=int, metavar="N", default=default, help=f"{meaning} (default {default})")
    else:
        command.add_argument(flag, default=default, help=meaning, **options)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", type=Path, metavar="FILE", help="write everything, each round too")


def _settings(args: argparse.Namespace) -> Any:
    """Return the `comparison.Settings` of a workload, checked before anything is measured."""
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
    """Refuse options that are whole numbers below 1; the seed may be 0, and the workers of `data` too."""
    from sgbench.errors import require_count

    for name in OPTIONS:
        value = getattr(args, name, None)
        may_be_0 = name == "seed" or (name == "workers" and getattr(args, "module", "") == "data")
        if isinstance(value, int) and not isinstance(value, bool):
            require_count(f"--{name}", value, low=0 if may_be_0 else 1)


def _compare(args: argparse.Namespace) -> None:
    settings = _settings(args)
    from benchmarks import comparison, report

    result = comparison.compare(settings, with_peers=args.with_peers)
    print(comparison.show(result))
    report.write_json(args.json, result)


def _memory(args: argparse.Namespace) -> None:
    settings = _settings(args)
    from benchmarks import memory, report

    result = memory.compare(settings, with_peers=args.peers)
    print(memory.show(result))
    report.write_json(args.json, result)


def _measure(args: argparse.Namespace) -> None:
    """Run a command of `MEASURED`: measure, print the table, and write everything if a file is named."""
    from benchmarks import report

    _check_counts(args)
    report.check_json(args.json)
    module = importlib.import_module(f"benchmarks.{args.module}")
    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(args.settings)}
    result = module.compare(args.settings(**options))
    print(module.show(result))
    report.write_json(args.json, result)


def _headline(args: argparse.Namespace) -> None:
    """Measure all speeds; write the pages too, unless the results go to a folder of their own."""
    from benchmarks import headline
    from sgbench.errors import require_count

    if args.rounds is not None:
        require_count("--rounds", args.rounds)
    folder = args.to or headline.RESULTS
    headline.measure(headline.HeadlineSettings(args.rounds, folder, peers=not args.without_peers))
    if args.to is None:
        headline.rewrite()


def _table(args: argparse.Namespace) -> None:
    """Print the table of stored results; write the pages too, unless the results are those of another folder."""
    from benchmarks import headline

    print(headline.table(args.folder or headline.RESULTS))
    if args.folder is None:
        headline.rewrite()


def _rewrite(args: argparse.Namespace) -> None:
    from benchmarks import rules_table

    getattr(rules_table, args.function)()


if __name__ == "__main__":
    sys.exit(main())
