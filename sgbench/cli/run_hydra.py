"""Runs the parts of `sgbench run` that Hydra does: launching the points of a sweep, and Hydra's own flags."""

from __future__ import annotations

import copy
import io
import logging
import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import own_entry_options, print_lines
from sgbench.errors import (
    HOW_TO_SEE,
    InputError,
    RunBusyError,
    SgbenchError,
    as_expected_error,
    one_printable_line,
    shows_traceback,
)
from sgbench.paths import RECORD, conf_dir, default_runs_dir
from sgbench.sweeps.names import name_methods
from sgbench.sweeps.outcome import (
    NO_RECORD,
    Guessing,
    chance_warning,
    cost_to_minimise,
    describe_guessing,
    failure_reason,
    headline,
    point_label,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sgbench.composition.plan import RunPlan
    from sgbench.records.spec import RunSpec


def run_sweep(planned: RunPlan, arguments: Sequence[str], job: Job) -> int:
    """Launch every point of a plan by Hydra, and print from the records how they ended; return the exit code."""
    before = [] if planned.is_open else [_stamp(spec) for spec in planned.specs]
    code = max(_launch(arguments, job), job.exit_code)
    if planned.is_open:
        return code
    if code == 0:  # otherwise points are missing for reasons that are already printed
        code = _finish_busy_points(planned, job.names)
    return max(code, _report(planned, before, job))


def _launch(arguments: Sequence[str], job: Job) -> int:
    """Start Hydra and return the exit code; errors of launchers and sweepers become one line."""
    from sgbench.composition.hydra_internals import launch
    from sgbench.composition.overrides import one_line

    try:
        launch(arguments, job)
    except Exception as error:  # launchers and sweepers may raise anything
        if shows_traceback():
            raise
        print_error(
            as_expected_error(error) or SgbenchError(f"{type(error).__name__}: {one_line(error)}; {HOW_TO_SEE}")
        )
        return getattr(error, "exit_code", 1)
    return 0


def _finish_busy_points(planned: RunPlan, names: Mapping[str, str]) -> int:
    """Wait for points that another process runs, and run those that it abandons; return the worst exit code."""
    from sgbench.sweeps.shared_points import busy_points, wait_for_others

    code = 0
    for outcome in wait_for_others(busy_points(planned.specs), print_lines):
        if isinstance(outcome, SgbenchError):
            print_error(outcome)
            code = max(code, outcome.exit_code)
        else:
            print_lines(headline(outcome, names))
    return code


class Job:
    """Runs one point of a sweep for each call by Hydra; picklable, for launchers that run in other processes.

    Hydra's basic sweeper and `hydra/sweeper=planned` run the points of the plan, whose specs are used. Another
    sweeper may choose points while it runs; these are composed when they are called.

    `config_dirs`: folders with entries of the user's own; `allowed`: exact names of classes outside the catalogue that
    may be imported.
    """

    def __init__(self, planned: RunPlan, config_dirs: Sequence[Path], allowed: Sequence[str]) -> None:
        self.planned = planned
        self.config_dirs = config_dirs
        self.allowed = allowed
        self.names = name_methods(planned)
        self.exit_code = 0
        self.is_refused = False  # whether a launcher refused all points, in a line of its own

    def __call__(self, config: Any) -> float:
        """Run one point; an error is printed and kept as `exit_code`, so that the sweep continues.

        Returns the value that an optimising sweeper minimises (`cost_to_minimise`); infinity without a result.
        """
        from hydra.core.hydra_config import HydraConfig

        from sgbench.training.runner import run_spec

        try:
            record = run_spec(self._spec(config))
        except RunBusyError:
            return math.inf  # another process runs this point; `_finish_busy_points` waits for it at the end
        except SgbenchError as error:
            print_error(error)
            self.exit_code = max(self.exit_code, error.exit_code)
            return math.inf
        job = HydraConfig.get()
        if self.planned.is_open:
            chosen = [
                override for override in job.overrides.task if override.partition("=")[0] not in self.planned.fixed_keys
            ]
            print_lines(f"[{job.job.num + 1}] {headline(record, self.names)}: {', '.join(chosen)}")
            self.exit_code = max(self.exit_code, int(record.status != "finished"))
        else:
            print_lines(f"[{job.job.num + 1}/{len(self.planned.specs)}] {headline(record, self.names)}")
        return cost_to_minimise(record)

    def _spec(self, config: Any) -> RunSpec:
        """Return what this job runs: as planned before, or read from Hydra's configuration."""
        from hydra.core.hydra_config import HydraConfig

        from sgbench.composition.catalogue import CatalogueReader
        from sgbench.composition.compose import register_resolvers
        from sgbench.composition.tree import spec_from_config
        from sgbench.training.calibration import calibrate

        job = HydraConfig.get()
        spec = self.planned.spec_at(job.job.num, job.overrides.task)
        if spec is not None:
            return spec
        register_resolvers()
        reader = CatalogueReader(self.config_dirs, self.allowed)
        # Hydra and its callbacks read the tree after the job, so what is modified is a copy.
        return calibrate(spec_from_config(copy.deepcopy(config), reader, choices=dict(job.runtime.choices)))

    def launch_replicas(
        self,
        points: Sequence[Sequence[str]],
        first: int,
        *,
        workers: int | None,
        largest: int | None,
        where: Mapping[str, Any],
    ) -> None:
        """Run points of the plan in groups, side by side; called by the launcher `replicas`.

        `points`: the overrides of each point. `first`: index of the first of them in the plan. `workers`: processes, or
        jobs on a cluster; None is one for each core, or one job for sixteen points. `largest`: most runs at a time in
        one process; None is as many as fit in memory. `where`: maps settings of the place (`on`, `partition`, ...) to
        values, see `sgbench.replicas.sweep`.
        """
        from sgbench.replicas.sweep import run_sweep
        from sgbench.replicas.where import where_of

        planned = self.planned
        try:
            for name, number in (("workers", workers), ("largest", largest)):
                if number is not None and number < 1:
                    raise InputError(f"hydra.launcher.{name}={number}: at least 1 is needed")
            if any(planned.spec_at(first + index, point) is None for index, point in enumerate(points)):
                raise InputError(
                    "hydra/launcher=replicas: runs planned points, but the sweeper made others; "
                    "use hydra/sweeper=planned, or another launcher"
                )
            run_sweep(
                planned.specs,
                range(first, first + len(points)),
                workers=workers,
                largest=largest,
                headline=partial(headline, names=self.names),
                refused=self._record_exit_code,
                where=where_of(where),
            )
        except SgbenchError as error:
            print_error(error)
            self.exit_code, self.is_refused = error.exit_code, True

    def _record_exit_code(self, exit_code: int) -> None:
        """Keep the worst exit code, except that of a point which another process is writing."""
        if exit_code != RunBusyError.exit_code:
            self.exit_code = max(self.exit_code, exit_code)


def do_nothing(config: Any) -> None:
    """Do nothing, as the task function for Hydra's flags that only show something."""


def show(arguments: Sequence[str], search_path: Sequence[str], config_dirs: Sequence[Path]) -> int:
    """Let Hydra print what one of its own flags among the arguments asks for; return the exit code.

    `search_path` holds the override of Hydra's search path, if any. Arguments that the flag cannot take raise an
    InputError.
    """
    from sgbench.composition.hydra_flags import hydra_arguments

    flag, checked = hydra_arguments(arguments, config_dirs)
    printed = io.StringIO()
    try:
        with redirect_stderr(printed), _restored_settings():
            code = call_hydra([*checked, *search_path], do_nothing)
    except Exception as error:  # Hydra raises anything on wrong input
        raise InputError(f"{flag}: {error or type(error).__name__}") from error
    if code:
        lines = [line for line in printed.getvalue().splitlines() if line and not line.startswith("Set the env")]
        raise InputError(f"{flag}: {lines[-1] if lines else 'nothing can be shown'}")
    sys.stderr.write(printed.getvalue())
    return 0


@contextmanager
def _restored_settings() -> Iterator[None]:
    """Restore, after a `with` block, the logging and the configuration that Hydra replaces for the whole process."""
    from hydra.core.hydra_config import HydraConfig

    root, settings = logging.getLogger(), HydraConfig.instance()
    handlers, level, config = list(root.handlers), root.level, settings.cfg
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        settings.cfg = config


def call_hydra(arguments: Sequence[str], task: Callable[[Any], object]) -> int:
    """Call `hydra.main` with a task as from a command line; return the exit code at which it would leave Python."""
    import hydra

    from sgbench.composition.compose import register_resolvers

    register_resolvers()

    def sgbench_job(config: Any) -> Any:
        return task(config)

    # The launcher `replicas` runs all points at once through this method, if the task has it.
    sgbench_job.launch_replicas = getattr(task, "launch_replicas", None)  # type: ignore[attr-defined]
    command = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(sgbench_job)
    with _arguments(arguments):
        try:
            command()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


@contextmanager
def _arguments(arguments: Sequence[str]) -> Iterator[None]:
    """Set `sys.argv` to the arguments in a `with` block, since Hydra reads them there."""
    before = sys.argv
    sys.argv = ["sgbench", *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _stamp(spec: RunSpec) -> int | None:
    """Return when a run's record was written [ns], by which a new record is recognised; None without a record."""
    from sgbench.training.run_folder import folder_of

    path = folder_of(spec) / RECORD
    return path.stat().st_mtime_ns if path.exists() else None


def _report(planned: RunPlan, before: Sequence[int | None], job: Job) -> int:
    from sgbench.leaderboard.score import guesses
    from sgbench.sweeps.saved import optimism_lines
    from sgbench.training.run_folder import stored_record

    finished, problems, watched, at_chance = 0, [], [], []
    names = job.names
    is_guess = guesses(planned.config_dirs)
    for spec, stamp in zip(planned.specs, before, strict=True):
        record = stored_record(spec)
        reason = failure_reason(spec, record, names)
        if spec.force and record is not None and _stamp(spec) == stamp:
            reason = f"{point_label(spec, names)}: was not repeated; the record is the old one"
        if reason is not None:
            problems.append(reason)
            continue
        finished += 1
        if record is not None and is_guess(record):
            at_chance.append(describe_guessing(spec, names))
        if record is not None and record.test_selected is not None:
            watched.append(record)
    for line in optimism_lines(watched):
        print_lines(line)
    root = planned.specs[0].paths.runs_dir
    where = [] if Path(root) == default_runs_dir() else ["--root", str(root)]
    options = [*where, *own_entry_options(job.config_dirs, job.allowed)]
    then = f"; next: {shlex.join(['sgbench', 'board', 'build', '--from', 'runs', *options])}" if finished else ""
    print_lines(f"{finished} of {len(planned.specs)} runs finished{then}")
    warn_of_chance(at_chance, finished)
    unexplained = [text for text in problems if not (job.is_refused and text.endswith(f": {NO_RECORD}"))]
    for line in _merge_missing(unexplained):
        print_lines(f"sgbench: failed: {line}", sys.stderr)
    return 1 if problems else 0


def _merge_missing(problems: Sequence[str]) -> list[str]:
    """Merge all lines of points that have "no record" into one at the end; their cause is already printed.

    >>> _merge_missing(["a seed 0: no record", "a seed 1: not finite", "a seed 2: no record"])
    ['a seed 1: not finite', 'a seed 0: no record; and 1 more']
    """
    missing = [line for line in problems if line.endswith(f": {NO_RECORD}")]
    more = f"; and {len(missing) - 1:,} more" if len(missing) > 1 else ""
    return [*(line for line in problems if line not in missing), *(f"{line}{more}" for line in missing[:1])]


def warn_of_chance(runs: Sequence[Guessing], count: int) -> None:
    """Print a warning on standard error if any of `count` runs are no better than guessing; `runs` are those."""
    warning = chance_warning(runs, count=count)
    if warning is not None:
        print_lines(f"sgbench: warning: {warning}", sys.stderr)


def print_error(error: SgbenchError) -> None:
    """Print on standard error why a point could not be run."""
    print_lines(f"sgbench: error: {one_printable_line(error)}", sys.stderr)
