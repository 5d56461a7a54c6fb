"""The command `sgbench`: thin; anything heavy is imported by the subcommand that needs it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sgbench import __version__
from sgbench.cli import STOPPED, STOPPED_CODE
from sgbench.cli.common import CommandParser
from sgbench.errors import (
    TRACEBACK,
    InputError,
    ended_by,
    one_printable_line,
    shows_traceback,
)
from sgbench.paths import ALLOW_ENV, allowed_env, allowed_targets, own_conf_dir, whole_name

ABOUT = "Which surrogate gradient, neuron and learning rule, for which task, at what cost."
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

every command takes --traceback, which shows where in the code an error came from

exit codes: 0 fine, 1 findings or failed runs, 2 bad input, 130 stopped"""


MOVED = {
    **{("study", name): f"python -m study {name}" for name in ("report", "measure", "plan", "publish")},
    **{("submit", name): f"python -m registry {name}" for name in ("accept", "restore")},
    ("data", "accept"): "python -m registry accept-data",
    **{("board", name): f"python -m registry {name}" for name in ("audit", "withdraw", "release")},
}
"""Commands of those who keep studies and boards, which are not in the package: what a clone has in their place."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `sgbench` and return its exit code."""
    return run_words(_dispatch, argv)


def run_words(dispatch: Callable[[list[str]], int], argv: Sequence[str] | None = None) -> int:
    """Hand the words of a command to what reads them, and end every error in one line.

    Args:
        dispatch: reads words, does what they say and returns the exit code.
        argv: the words; None: those of this process.
    """
    words, variables = _flags_of_all(list(sys.argv[1:] if argv is None else argv))
    trusts = allowed_targets() or any(word.startswith("--allow-target") for word in words)
    if trusts and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # where one's own package lies, as with `python -m`
    with _environment(variables):
        try:
            return dispatch([_whole(word) for word in words])
        except KeyboardInterrupt:
            sys.stderr.write(STOPPED)
            return STOPPED_CODE
        except BrokenPipeError:
            # The reader of a pipe (head, less) went away; what is left has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except Exception as error:
            ended = ended_by(error)
            if ended is None or shows_traceback():
                raise
            sys.stdout.flush()
            sys.stderr.write(f"sgbench: error: {one_printable_line(ended)}\n")
            return ended.exit_code


def _flags_of_all(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split off what every command takes; returns the other words, and variables of the environment.

    >>> _flags_of_all(["list", "--traceback", "surrogate"])
    (['list', 'surrogate'], {'SGBENCH_TRACEBACK': '1'})
    """
    rest: list[str] = []
    named: list[str] = []
    variables: dict[str, str] = {}
    given = iter(words)
    for word in given:
        flag, has_value, value = word.partition("=")
        if word == "--traceback":
            variables[TRACEBACK] = "1"
        elif flag == "--allow-env":
            named.append(value if has_value else next(given, ""))
        else:
            rest.append(word)
    if named:
        variables[ALLOW_ENV] = ",".join([*named, *allowed_env()])
    return rest, variables


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment, which the processes of a sweep inherit, for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _whole(word: str) -> str:
    """Add the hash to a name of one's own data in a word of a run, e.g. to experiment=mine."""
    group, _, name = word.partition("=")
    if not name or group not in ("experiment", "dataset", "protocol"):
        return word
    return f"{group}={whole_name(name, [path.stem for path in (own_conf_dir() / group).glob('*.yaml')])}"


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["run"]:
        # Hydra's grammar, not argparse's: overrides, sweeps and Hydra's own flags.
        from sgbench.cli.run import run_command

        return run_command(words[1:])
    if words[:1] == ["sweep"]:
        from sgbench.cli.sweep import sweep_command

        return sweep_command(words[1:])
    if words[:1] == ["tune"]:
        from sgbench.cli.tune import tune_command

        return tune_command(words[1:])
    if words[:1] == ["completion"]:
        return _completion(words[1:])
    if words[:1] == ["diagnose"]:
        from sgbench.cli.diagnose import diagnose_command

        return diagnose_command(words[1:])
    if words and "=" in words[0]:
        raise InputError(f"'{words[0]}' is no command; did you mean: sgbench run {' '.join(words)}")
    for moved, command in MOVED.items():
        if tuple(words[: len(moved)]) == moved:
            raise InputError(f"sgbench {' '.join(moved)}: not in the package; in a clone of it: {command}")
    args = parser().parse_args(words)
    return args.handler(args)


def _completion(words: list[str]) -> int:
    """Print a shell's completion script, or the words that may follow a line."""
    from sgbench.cli.completion import candidates
    from sgbench.composition.completion import SHELLS, script

    if words[:1] == ["--line"]:
        sys.stdout.write("".join(f"{word}\n" for word in candidates(" ".join(words[1:]), parser)))
        return 0
    if len(words) != 1 or words[0].startswith("-"):
        raise InputError(
            f'completion: a shell is needed, {", ".join(SHELLS)}: eval "$(sgbench completion bash)"'
        )
    sys.stdout.write(script(words[0]))
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands but `run`, `sweep`, `tune` and `diagnose`."""
    from sgbench.cli import (
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
    browse.register(commands)
    compare.register(commands)
    data.register(commands)
    reproduce.register(commands)
    study.register(commands)
    recommend.register(commands)
    calibrate.register(commands)
    judge.register(commands)
    cite.register(commands)
    board.register(commands)
    submit.register(commands)
    verify.register(commands)
    sync.register(commands)
    energy.register(commands)
    export.register(commands)
    doctor.register(commands)
    return top
