"""`sgbench run`: one point of the space, or a sweep whose every point is checked before the first one runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.cli.common import say
from sgbench.cli.run_hydra import Job, run_sweep, say_failed, show, warn_of_chance
from sgbench.errors import InputError
from sgbench.paths import RECORD, with_own
from sgbench.sweeps.checked import built
from sgbench.sweeps.outcome import guessing, problem, result
from sgbench.training.memory import uncollected

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from sgbench.composition.plan import RunPlan
    from sgbench.training.build import Parts

HELP = """usage: sgbench run [-m] [--config-dir DIR] [--allow-target NAME] [OVERRIDE ...]

Run one point of the space, or with -m (or sweep=NAME) every combination of the values given.

  group=entry         choose an entry, e.g. surrogate=atan (see: sgbench list)
  group.key=value     set a parameter, e.g. neuron.beta=0.9 (see: sgbench show neuron/leaky)
  neuron@readout=...  choose the readout's neuron
  seed=3              seed of data order, encoding, initialisation and noise
  width_fwhm=1.0      one full width at half maximum for every surrogate that has one; auto measures it first
  force=true          repeat a finished run
  trainer.watch_test_score=true  also report what selection on the test set would have shown; bars submission
  trainer.profile=true  report where the time of the fit goes, with a trace
  trainer.diagnose=[flow,activity]  also report how gradients flow; sgbench diagnose does so for any run
  logger=[csv,wandb]  copy curves and scores to loggers
  paths.runs_dir=DIR  where runs are written (or SGBENCH_RUNS); paths.data_dir (or SGBENCH_DATA)

  --first N           try with the first N samples of each split; no board ranks such a run
  -m, --multirun      sweep over comma-separated values: surrogate=atan,triangle seed=0,1,2
  --config-dir DIR    a folder with entries of your own, laid out like conf/; may be repeated
  --allow-target NAME a class outside the catalogue that your entries may use, e.g. my_package.MySurrogate
                      (or SGBENCH_ALLOW_TARGET, once for all commands)
  --allow-env NAME    a variable of the environment that files of others may read (or SGBENCH_ALLOW_ENV)
  --cfg job           print the composed configuration and stop
                      (to count a sweep's runs without starting them: sgbench sweep status OVERRIDE ...)
  --hydra-help        Hydra's own flags

A finished run is not repeated; an interrupted one continues from its last epoch.
exit codes: 0 all finished, 1 a run failed, 2 bad input, 130 stopped
"""


def run_command(arguments: Sequence[str]) -> int:
    """Run `sgbench run` with these arguments; return the exit code."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(HELP)
        return 0
    from sgbench.composition.hydra_flags import asks_to_show
    from sgbench.sweeps.notes import notes
    from sgbench.sweeps.remembered import of_words, remember

    rest, allowed = _take(list(arguments), "--allow-target")
    rest, folders = _take(rest, "--config-dir", "-cd")
    rest, firsts = _take(rest, "--first")
    rest += [f"protocol.first_samples={count}" for count in firsts]
    config_dirs = [Path(folder) for folder in folders]
    # Hydra's own flag takes one folder; its search path takes any number.
    searched = with_own(config_dirs)
    paths = ",".join(f"file://{folder.resolve()}" for folder in searched)
    back = [f"hydra.searchpath=[{paths}]"] if searched else []
    if asks_to_show(rest):
        return show(rest, back, config_dirs)
    with uncollected():
        planned = _plan(rest, config_dirs, allowed)
        parts, widths = built(planned)
        lines = list(notes(planned, rest, widths))
    for line in lines:
        say(line)
    if planned.config is not None:
        return _run_single(planned, planned.config, parts)
    first = planned.specs[0]
    if first.group is not None and not planned.is_open:
        remember(Path(first.paths.runs_dir), first.group, of_words(rest, config_dirs, allowed))
    overrides = [argument for argument in rest if not argument.startswith("-")]
    return run_sweep(planned, [*overrides, *back], Job(planned, config_dirs, allowed))


def _take(arguments: list[str], *flags: str) -> tuple[list[str], list[str]]:
    """Split off flags with values (`--flag value`, `--flag=value`); return the other arguments and the values."""
    others: list[str] = []
    values: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, given, value = argument.partition("=")
        if name in flags:
            taken = value if given else next(rest, None)
            if taken is None:
                raise InputError(f"{name}: a value is needed")
            values.append(taken)
        else:
            others.append(argument)
    return others, values


def _plan(arguments: list[str], config_dirs: Sequence[Path], allowed: Sequence[str]) -> RunPlan:
    from sgbench.composition.plan import plan
    from sgbench.training.calibration import calibrate_plan

    overrides = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    for argument in overrides:
        if argument.startswith("-"):
            asked = " ".join(one for one in overrides if not one.startswith("-")) or "OVERRIDE ..."
            raise InputError(
                f"{argument}: this flag is not known; see: sgbench run --help; to count the runs without starting "
                f"them: sgbench sweep status {asked}"
            )
    multirun = len(overrides) < len(arguments)
    return calibrate_plan(plan(overrides, multirun=multirun, config_dirs=config_dirs, allow_targets=allowed))


def _run_single(planned: RunPlan, config: DictConfig, parts: Parts | None) -> int:
    """Run the one point of a plan with the parts that it was checked with, and print the result."""
    from sgbench.composition.hydra_internals import run_as_job
    from sgbench.leaderboard.score import measures
    from sgbench.sweeps.selected_on_test import optimism
    from sgbench.training.run_folder import folder_of

    with uncollected():
        from sgbench.training.runner import run_spec

    (spec,) = planned.specs
    record = run_as_job(config, lambda: run_spec(spec, parts))
    reason = problem(spec, record)
    if reason is not None:
        say_failed(reason)
        return 1
    for line in (result(record), f"record: {folder_of(spec) / RECORD}", *optimism([record])):
        say(line)
    if spec.trainer.profile:
        from sgbench.training.profile import profile_lines

        for line in profile_lines(folder_of(spec)):
            say(line)
    measure = measures(planned.config_dirs)(spec.method)
    warn_of_chance([guessing(spec)] if measure.is_at_chance(record.validation) else [], 1)
    return 0
