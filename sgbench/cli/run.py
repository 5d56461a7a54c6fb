"""`sgbench run`: runs one configuration, or a sweep whose every point is checked before the first one runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.cli.common import print_lines
from sgbench.cli.run_hydra import Job, run_sweep, show, warn_of_chance
from sgbench.errors import InputError
from sgbench.paths import RECORD, with_own
from sgbench.sweeps.outcome import describe_guessing, failure_reason, result_line
from sgbench.sweeps.saved import build_and_check, optimism_lines, remember, to_remember
from sgbench.training.memory import uncollected

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from sgbench.composition.plan import RunPlan
    from sgbench.training.build import Parts

HELP = """usage: sgbench run [-m] [--config-dir DIR] [--allow-target NAME] [OVERRIDE ...]

Run one setting, or with -m (or sweep=NAME) every combination of the values.

  group=entry         choose an entry, e.g. surrogate=atan (see: sgbench list)
  group.key=value     set a parameter, e.g. neuron.beta=0.9 (see: sgbench show)
  neuron@readout=...  choose the readout's neuron
  seed=3              seed of data order, encoding, initialisation and noise
  width_fwhm=1.0      surrogates' full width at half maximum; auto measures it
  force=true          repeat a finished run
  trainer.watch_test_score=true  also report what selection on the test set
                      would have shown; bars submission
  trainer.profile=true  report where the time of the fit goes, with a trace
  trainer.diagnose=[flow,activity]  also report how gradients flow
  logger=[csv,wandb]  copy curves and scores to loggers
  paths.runs_dir=DIR  where runs are written (or SGBENCH_RUNS); paths.data_dir
                      is where data lies (or SGBENCH_DATA)

  --first N           try with N samples of each split; for no board
  -m, --multirun      sweep over values, e.g. surrogate=atan,triangle seed=0,1,2
                      (sgbench sweep status OVERRIDE ... counts its runs)
  --config-dir DIR    a folder with entries of your own, laid out like conf/
  --allow-target NAME a class outside the catalogue that your entries may use,
                      e.g. my_package.Mine (or SGBENCH_ALLOW_TARGET)
  --allow-hydra NAME  a callback, launcher or sweeper of yours that Hydra may
                      call (or SGBENCH_ALLOW_HYDRA)
  --allow-env NAME    a variable of the environment that files of others may
                      read (or SGBENCH_ALLOW_ENV); all these may be repeated
  --cfg job           print the composed configuration and stop
  --hydra-help        Hydra's own flags

A finished run is not repeated; an interrupted one goes on from its last epoch.
exit codes: 0 all finished, 1 a run failed, 2 bad input, 130 stopped
"""


def run_command(arguments: Sequence[str]) -> int:
    """Run `sgbench run` with the arguments behind its name; return the exit code."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(HELP)
        return 0
    from sgbench.composition.hydra_flags import asks_to_show
    from sgbench.composition.overrides import Overrides
    from sgbench.composition.plan import plan
    from sgbench.sweeps.notes import notes_before_running
    from sgbench.training.calibration import calibrate_plan

    rest, allowed = _split_off(list(arguments), "--allow-target")
    rest, folders = _split_off(rest, "--config-dir", "-cd")
    rest, counts = _split_off(rest, "--first")
    rest += [f"protocol.first_samples={count}" for count in counts]
    config_dirs = [Path(folder) for folder in folders]
    # Hydra's own flag takes one folder; its search path takes any number.
    searched = with_own(config_dirs)
    paths = ",".join(f"file://{folder.resolve()}" for folder in searched)
    search_path = [f"hydra.searchpath=[{paths}]"] if searched else []
    if asks_to_show(rest):
        return show(rest, search_path, config_dirs)
    words = [argument for argument in rest if argument not in ("-m", "--multirun")]
    _refuse_flags(words)
    overrides, multirun = Overrides.of(words), len(words) < len(rest)
    with uncollected():
        planned = plan(overrides, multirun=multirun, config_dirs=config_dirs, allow_targets=allowed)
        planned = calibrate_plan(planned)  # measures `width_fwhm=auto`
        parts, widths = build_and_check(planned)
        lines = list(notes_before_running(planned, overrides, widths))
    for line in lines:
        print_lines(line)
    if planned.config is not None:
        return _run_single(planned, planned.config, parts)
    first = planned.specs[0]
    if first.group is not None and not planned.is_open:
        remember(Path(first.paths.runs_dir), first.group, to_remember(overrides, config_dirs, allowed))
    return run_sweep(planned, [*overrides.texts, *search_path], Job(planned, config_dirs, allowed))


def _split_off(arguments: list[str], *flags: str) -> tuple[list[str], list[str]]:
    """Return the other arguments, and the values of the named flags (`--flag value` or `--flag=value`)."""
    others: list[str] = []
    values: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, written = argument.partition("=")
        if name in flags:
            value = written if equals else next(remaining, None)  # --flag=value, or the argument after --flag
            if value is None:
                raise InputError(f"{name}: a value is needed")
            values.append(value)
        else:
            others.append(argument)
    return others, values


def _refuse_flags(arguments: Sequence[str]) -> None:
    """Refuse flags: `sgbench run` takes overrides, and Hydra would read flags as its own."""
    for argument in arguments:
        if argument.startswith("-"):
            others = " ".join(text for text in arguments if not text.startswith("-")) or "OVERRIDE ..."
            raise InputError(
                f"{argument}: this flag is not known; see: sgbench run --help; to count the runs without starting "
                f"them: sgbench sweep status {others}"
            )


def _run_single(planned: RunPlan, config: DictConfig, parts: Parts | None) -> int:
    """Run the one point of a plan and print its result; return 1 if it fails.

    `config` is its merged tree, which is modified. `parts` were built to check it; None builds them anew.
    """
    from sgbench.composition.hydra_internals import run_as_job
    from sgbench.leaderboard.score import guesses
    from sgbench.training.run_folder import folder_of

    with uncollected():
        from sgbench.training.runner import run_spec

    (spec,) = planned.specs
    record = run_as_job(config, lambda: run_spec(spec, parts))
    reason = failure_reason(spec, record)
    if reason is not None:
        print_lines(f"sgbench: failed: {reason}", sys.stderr)
        return 1
    for line in (result_line(record), f"record: {folder_of(spec) / RECORD}", *optimism_lines([record])):
        print_lines(line)
    if spec.trainer.profile:
        from sgbench.training.profile import profile_lines

        for line in profile_lines(folder_of(spec)):
            print_lines(line)
    is_guess = guesses(planned.config_dirs)
    warn_of_chance([describe_guessing(spec)] if is_guess(record) else [], 1)
    return 0
