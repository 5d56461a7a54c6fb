"""The command `sgbench`; each subcommand imports what it needs only when it runs."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sgbench import __version__
from sgbench.cli import STOPPED, STOPPED_CODE
from sgbench.cli.common import CommandParser, print_lines
from sgbench.errors import TRACEBACK, InputError, as_expected_error, one_printable_line, shows_traceback
from sgbench.paths import ALLOW_ENV, ALLOW_HYDRA, ALLOW_TARGET, allowed, own_conf_dir, whole_name

ABOUT = "Which surrogate gradient, neuron and learning rule, for which task, at what cost"
EPILOG = """examples:
  sgbench run experiment=digits surrogate=atan seed=3
  sgbench run -m surrogate=atan,triangle seed=0,1,2
  sgbench sweep quickstart
  sgbench sweep show quickstart --plot quickstart.png
  sgbench list surrogate
  sgbench show surrogate/atan --plot atan.png
  sgbench compare surrogate/atan surrogate/triangle --plot both.png
  sgbench data list && sgbench data show randman --plot randman.png
  sgbench tune experiment=digits_tuned_v3 surrogate=atan
  sgbench recommend experiment=digits
  sgbench calibrate experiment=delayed_xor_v2
  sgbench judge gaussian --to verdict
  sgbench cite surrogate/atan
  sgbench diagnose experiment=digits surrogate=triangle width_fwhm=0.5
  sgbench reproduce spytorch1
  sgbench board build --from runs && sgbench board show --from runs
  sgbench submit make runs/digits_v1 --name "my method" --contact @me

every command takes --traceback: where in the code an error came from

exit codes: 0 fine, 1 findings or failed runs, 2 bad input, 130 stopped"""


MAINTAINERS_COMMANDS = {
    **{("study", name): f"python -m study {name}" for name in ("report", "measure", "plan", "publish")},
    **{("submit", name): f"python -m registry {name}" for name in ("accept", "restore")},
    ("data", "accept"): "python -m registry accept-data",
    **{("board", name): f"python -m registry {name}" for name in ("audit", "withdraw", "release")},
}
"""Maps commands for maintainers, which are not in the package, to what a clone of the repository has instead."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `sgbench` and return its exit code."""
    return run_command_line(_dispatch, argv)


def run_command_line(dispatch: Callable[[list[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an expected error is one line, without a traceback."""
    arguments, variables = _flags_of_all(list(sys.argv[1:] if argv is None else argv))
    with _environment(variables):
        trusts = allowed(ALLOW_TARGET, ALLOW_HYDRA) or any(word.startswith("--allow-target") for word in arguments)
        try:
            if trusts and str(Path.cwd()) not in sys.path:  # so that the user's own package can be imported
                sys.path.insert(0, str(Path.cwd()))
            return dispatch([_with_whole_name(argument) for argument in arguments])
        except KeyboardInterrupt:
            sys.stderr.write(STOPPED)
            return STOPPED_CODE
        except BrokenPipeError:
            # The reader of the pipe (head, less) has closed it; the rest of the output is dropped.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except Exception as error:
            ended = as_expected_error(error)
            if ended is None or shows_traceback():
                raise
            sys.stdout.flush()
            print_lines(f"sgbench: error: {one_printable_line(ended)}", sys.stderr)
            return ended.exit_code


def _flags_of_all(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split off the options of every command; return the other arguments, and the environment variables to set.

    >>> _flags_of_all(["list", "--traceback", "surrogate"])
    (['list', 'surrogate'], {'SGBENCH_TRACEBACK': '1'})
    """
    rest: list[str] = []
    named: dict[str, list[str]] = {"--allow-env": [], "--allow-hydra": []}
    variables: dict[str, str] = {}
    iterator = iter(arguments)
    for argument in iterator:
        flag, has_value, value = argument.partition("=")
        if argument == "--traceback":
            variables[TRACEBACK] = "1"
        elif flag in named:
            named[flag].append(value if has_value else next(iterator, ""))
        else:
            rest.append(argument)
    for flag, variable in {"--allow-env": ALLOW_ENV, "--allow-hydra": ALLOW_HYDRA}.items():
        if named[flag]:
            variables[variable] = ",".join([*named[flag], *allowed(variable)])
    return rest, variables


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables in a `with` block; processes of a sweep inherit them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _with_whole_name(argument: str) -> str:
    """Complete the name of the user's own data by its hash, e.g. in experiment=mine; return others unchanged."""
    group, _, name = argument.partition("=")
    if not name or group not in ("experiment", "dataset", "protocol"):
        return argument
    return f"{group}={whole_name(name, [path.stem for path in (own_conf_dir() / group).glob('*.yaml')])}"


def _dispatch(arguments: list[str]) -> int:
    """Run the command that the arguments begin with; return its exit code."""
    if arguments[:1] == ["run"]:
        # Hydra's grammar, not argparse's: overrides, sweeps and Hydra's own flags.
        from sgbench.cli.run import run_command

        return run_command(arguments[1:])
    if arguments[:1] == ["sweep"]:
        from sgbench.cli.sweep import sweep_command

        return sweep_command(arguments[1:])
    if arguments[:1] == ["tune"]:
        from sgbench.cli.tune import tune_command

        return tune_command(arguments[1:])
    if arguments[:1] == ["completion"]:
        return _completion(arguments[1:])
    if arguments[:1] == ["diagnose"]:
        from sgbench.cli.diagnose import diagnose_command

        return diagnose_command(arguments[1:])
    if arguments and "=" in arguments[0]:
        raise InputError(f"'{arguments[0]}' is no command; did you mean: sgbench run {' '.join(arguments)}")
    for path, command in MAINTAINERS_COMMANDS.items():
        if tuple(arguments[: len(path)]) == path:
            raise InputError(f"sgbench {' '.join(path)}: not in the package; in a clone of it: {command}")
    args = parser().parse_args(arguments)
    return args.handler(args)


def _completion(arguments: list[str]) -> int:
    """Answer `sgbench completion`: a shell's script, or the words that complete a line."""
    from sgbench.cli.completion import SHELLS, candidates, script

    if arguments[:1] == ["--line"]:
        sys.stdout.write("".join(f"{word}\n" for word in candidates(" ".join(arguments[1:]), parser)))
        return 0
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise InputError(f'completion: a shell is needed, {", ".join(SHELLS)}: eval "$(sgbench completion bash)"')
    sys.stdout.write(script(arguments[0]))
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands but `run`, `sweep`, `tune` and `diagnose`."""
    from sgbench.cli import (
        audit,
        board,
        browse,
        calibrate,
        cite,
        compare,
        data,
        doctor,
        energy,
        export,
        judge,
        recommend,
        reproduce,
        study,
        submit,
        sync,
        verify,
    )

    top: argparse.ArgumentParser = CommandParser(
        prog="sgbench", description=ABOUT, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"sgbench {__version__}")
    commands: Any = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("run", help="run one point or a sweep (a Hydra application)", add_help=False)
    commands.add_parser("completion", help="completion for bash, zsh or fish", add_help=False)
    commands.add_parser("sweep", help="run a shipped sweep, or show what came of one", add_help=False)
    commands.add_parser("tune", help="settings within a protocol's budget, then its seeds", add_help=False)
    commands.add_parser("diagnose", help="why a network does or does not learn", add_help=False)
    methods = (browse, compare, data, reproduce, study, recommend, calibrate, judge, cite)
    results = (board, submit, verify, audit, sync, energy, export, doctor)
    for module in (*methods, *results):  # in the order of --help
        module.register(commands)
    return top
