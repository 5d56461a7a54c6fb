"""`sgbench run`: a Hydra application whose every point is checked before the first one runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError, RunBusyError, SgbenchError, one_printable_line
from sgbench.paths import RECORD, conf_dir, default_runs_dir
from sgbench.training.memory import uncollected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sgbench.composition.plan import Plan
    from sgbench.records.content import Scores
    from sgbench.records.record import RunRecord

HELP = """usage: sgbench run [-m] [--config-dir DIR] [--allow-target NAME] [OVERRIDE ...]

Run one point of the space, or with -m (or sweep=NAME) every combination of the values given.

  group=entry         choose an entry, e.g. surrogate=atan (see: sgbench list)
  group.key=value     set a parameter, e.g. neuron.beta=0.9 (see: sgbench show neuron/leaky)
  neuron@readout=...  choose the readout's neuron
  seed=3              seed of data order, encoding, initialisation and noise
  width_fwhm=1.0      one full width at half maximum for every surrogate that has one
  force=true          repeat a finished run
  trainer.watch_test_score=true  tell too what selecting on the test set would have shown; bars submission
  logger=[csv,wandb]  copy curves and scores to loggers
  paths.runs_dir=DIR  where runs are written (or SGBENCH_RUNS); paths.data_dir (or SGBENCH_DATA)

  -m, --multirun      sweep over comma-separated values: surrogate=atan,triangle seed=0,1,2
  --config-dir DIR    a folder with entries of your own, laid out like conf/; may be repeated
  --allow-target NAME a class outside the catalogue that your entries may use, e.g. my_package.MySurrogate
  --cfg job           print the composed configuration and stop
  --hydra-help        Hydra's own flags

A finished run is not repeated; an interrupted one continues from its last epoch.
exit codes: 0 all finished, 1 a run failed, 2 bad input, 130 stopped
"""
HYDRA_ONLY = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc")


def run_command(words: Sequence[str]) -> int:
    """Handle `sgbench run WORDS`; returns the exit code."""
    if "-h" in words or "--help" in words:
        sys.stdout.write(HELP)
        return 0
    from sgbench.sweeps.notes import notes

    rest, allowed = _take(list(words), "--allow-target")
    if allowed:
        sys.path.insert(0, str(Path.cwd()))  # where one's own package lies, as with `python -m`
    rest, folders = _take(rest, "--config-dir", "-cd")
    config_dirs = [Path(folder) for folder in folders]
    # Hydra's own flag takes one folder; its search path takes any number.
    paths = ",".join(f"file://{folder.resolve()}" for folder in config_dirs)
    back = [f"hydra.searchpath=[{paths}]"] if folders else []
    if any(word.split("=")[0] in HYDRA_ONLY for word in rest):
        return _hand_to_hydra([*rest, *back], _nothing)
    with uncollected():
        planned = _plan(rest, config_dirs, allowed)
    before = {folder: _stamp(folder) for folder in _folders(planned)}
    # Hydra's parser wants flags before overrides.
    hydra_words = [*sorted(rest, key=lambda word: not word.startswith("-")), *back]
    for line in notes(planned, rest):
        _say(line)
    job = _Job(planned, config_dirs, allowed)
    code = _hand_to_hydra(hydra_words, job)
    if job.exit_code and not planned.is_sweep:
        return job.exit_code  # the reason has been said
    return max(code, job.exit_code, _report(planned, before))


def _take(words: list[str], *flags: str) -> tuple[list[str], list[str]]:
    """Split off a flag with a value, given as two words or with `=`; a repeated flag collects."""
    kept: list[str] = []
    values: list[str] = []
    rest = iter(words)
    for word in rest:
        name, given, value = word.partition("=")
        if name in flags:
            taken = value if given else next(rest, None)
            if taken is None:
                raise InputError(f"{name}: a value is needed")
            values.append(taken)
        else:
            kept.append(word)
    return kept, values


def _plan(words: list[str], config_dirs: Sequence[Path], allowed: Sequence[str]) -> Plan:
    from sgbench.composition.plan import plan

    overrides = [word for word in words if word not in ("-m", "--multirun")]
    for word in overrides:
        if word.startswith("-"):
            raise InputError(f"{word}: this flag is not known; see: sgbench run --help")
    planned = plan(
        overrides,
        multirun=len(overrides) < len(words),
        config_dirs=config_dirs,
        allow_targets=allowed,
    )
    _check_values(planned)
    return planned


def _check_values(planned: Plan) -> None:
    """Build every point once, without data: a value out of range stops before anything runs."""
    from sgbench.records.files import require_writable
    from sgbench.records.method import method_id
    from sgbench.training.build import build

    seen = set()
    for spec in planned.specs:
        name = method_id(spec.method)
        if name not in seen:
            build(spec)
            seen.add(name)
    for folder in {spec.paths.runs_dir for spec in planned.specs}:
        require_writable(Path(folder))


class _Job:
    """What Hydra launches; picklable, for launchers that run in other processes."""

    def __init__(self, planned: Plan, config_dirs: Sequence[Path], allowed: Sequence[str]) -> None:
        self.specs = planned.specs
        self.points = len(planned.specs) if planned.is_sweep else None
        self.config_dirs = config_dirs
        self.allowed = allowed
        self.exit_code = 0

    def __call__(self, config: Any) -> None:
        """Run one composed point; a problem becomes a line and an exit code, so that a sweep goes on."""
        from hydra.core.hydra_config import HydraConfig

        from sgbench.composition.compose import register_resolvers, spec_from_config
        from sgbench.training.runner import run_spec

        register_resolvers()
        choices = dict(HydraConfig.get().runtime.choices)
        try:
            spec = spec_from_config(
                config, choices=choices, config_dirs=self.config_dirs, allow_targets=self.allowed
            )
            record = run_spec(spec)
        except SgbenchError as error:
            sys.stderr.write(f"sgbench: error: {one_printable_line(error)}\n")
            # In a sweep another process may finish the point; its record decides.
            if self.points is None or not isinstance(error, RunBusyError):
                self.exit_code = max(self.exit_code, error.exit_code)
            return
        if self.points is not None:
            _say(f"[{HydraConfig.get().job.num + 1}/{self.points}] {headline(record)}")

    def launch_replicas(self, places: Sequence[int], *, workers: int | None, largest: int | None) -> None:
        """Run points of the sweep side by side, for the launcher of that name."""
        from sgbench.replicas.sweep import run_sweep

        try:
            for name, number in (("workers", workers), ("largest", largest)):
                if number is not None and number < 1:
                    raise InputError(f"hydra.launcher.{name}={number}: at least 1 is needed")
            run_sweep(
                self.specs, places, workers=workers, largest=largest, headline=headline, refused=self._refused
            )
        except SgbenchError as error:
            sys.stderr.write(f"sgbench: error: {one_printable_line(error)}\n")
            self.exit_code = error.exit_code

    def _refused(self, exit_code: int) -> None:
        """A point that could not be run; one that another process writes is left to it."""
        if exit_code != RunBusyError.exit_code:
            self.exit_code = max(self.exit_code, exit_code)


def _nothing(config: Any) -> None:
    """The task of commands that only show something."""


def _hand_to_hydra(words: Sequence[str], task: Callable[[Any], None]) -> int:
    import hydra

    from sgbench.composition.compose import register_resolvers

    register_resolvers()

    def sgbench_job(config: Any) -> None:
        task(config)

    sgbench_job.launch_replicas = getattr(task, "launch_replicas", None)  # type: ignore[attr-defined]
    command = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(sgbench_job)
    with _arguments(words):
        try:
            command()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


@contextmanager
def _arguments(words: Sequence[str]) -> Iterator[None]:
    """Hydra reads its words from `sys.argv` alone."""
    before = sys.argv
    sys.argv = ["sgbench", *words]
    try:
        yield
    finally:
        sys.argv = before


def _folders(planned: Plan) -> list[Path]:
    from sgbench.training.run_folder import folder_of

    return [folder_of(spec) for spec in planned.specs]


def _stamp(folder: Path) -> int | None:
    """Tells an old record from one that replaced it; every writer gives the file a new time."""
    path = folder / RECORD
    return path.stat().st_mtime_ns if path.exists() else None


def _report(planned: Plan, before: dict[Path, int | None]) -> int:
    """Say what came of every point, from its record; returns 1 if one has no finished record."""
    from sgbench.sweeps.test_selection import optimism
    from sgbench.training.run_folder import stored_record

    finished, problems, watched = 0, [], []
    for spec, folder in zip(planned.specs, _folders(planned), strict=True):
        record = stored_record(spec)
        name = f"{spec.method.label} seed {spec.seed}"
        if spec.force and record is not None and _stamp(folder) == before[folder]:
            problems.append(f"{name}: was not repeated; the record is the old one")
        elif record is not None and record.status == "finished":
            finished += 1
            watched += [] if record.test_selected is None else [record]
            if not planned.is_sweep:
                _say(headline(record))
                _say(f"record: {folder / RECORD}")
        else:
            reason = "no record" if record is None or record.failure is None else record.failure.message
            problems.append(f"{name}: {reason}")
    for line in optimism(watched):
        _say(line)
    if planned.is_sweep:
        root = planned.specs[0].paths.runs_dir
        where = "" if Path(root) == default_runs_dir() else f" --root {root}"
        _say(
            f"{finished} of {len(planned.specs)} runs finished; next: sgbench board build --from runs{where}"
        )
    for problem in problems:
        sys.stderr.write(f"sgbench: failed: {problem}\n")
    return 1 if problems else 0


def headline(record: RunRecord) -> str:
    """A run in one line."""
    name = f"{record.protocol} {record.method.label} {record.method_id} seed {record.seed}"
    if record.test is None or record.validation is None:
        return f"{name}: failed: {record.failure.message if record.failure else 'unknown'}"
    test, validation = (_score(scores) for scores in (record.test, record.validation))
    return f"{name}: test {test}, validation {validation} ({record.timing.total_s:.1f} s)"


def _score(scores: Scores) -> str:
    """The accuracy, or the loss where there are no classes."""
    return f"loss {scores.loss:.4g}" if scores.accuracy is None else f"{100 * scores.accuracy:.1f} %"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
