"""One run from spec to record; no failure loses what is stored."""

from collections.abc import Sequence
from pathlib import Path

from sgbench.composition.compose import compose
from sgbench.composition.overrides import Overrides
from sgbench.composition.plan import sweep_points
from sgbench.errors import InputError
from sgbench.paths import RECORD
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from sgbench.training.calibration import calibrate
from sgbench.training.run_folder import finished_record, folder_of, forget_checkpoints, locked, set_aside_unreadable
from sgbench.training.single_run import SingleRun


def run(*overrides: str, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> RunRecord:
    """Compose, train, test and record one run; a finished one is read, not repeated.

    The example trains for a second or two:

    >>> record = run("experiment=digits", "protocol.epochs=1", "trainer.progress=false")  # doctest: +SKIP
    >>> record.status, record.scored.test.samples  # doctest: +SKIP
    ('finished', 360)

    Args:
        overrides: Hydra overrides, e.g. "experiment=digits", "surrogate=atan", "seed=3".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Returns:
        The record; `record.scored` has the scores of a finished run, which a failed one has not.

    Raises:
        InputError: a name or value is not usable.
        RunBusyError: another process is writing this run.
        StorageError: the run's folder cannot be written.
    """
    parsed = Overrides.of(overrides)
    sweep = parsed.settings.get("sweep", "null")
    if sweep != "null" and len(sweep_points(parsed, config_dirs)) > 1:  # a sweep of one point is one run
        raise InputError(f"run('sweep={sweep}'): run makes one run; use sgbench.sweep({sweep!r}) for all of them")
    return run_spec(calibrate(compose(parsed, config_dirs=config_dirs, allow_targets=allow_targets)))


def run_spec(spec: RunSpec, parts: Parts | None = None) -> RunRecord:
    """Run a checked spec, or read its record if it is finished; a failure of the run gives a failed record.

    `parts`: objects built from this spec and not used yet; None builds them here. Errors are those of `run`.
    """
    spec = _spec_for_driver(spec)
    finished = finished_record(spec)
    if finished is not None:
        return finished
    folder = folder_of(spec)
    with locked(folder):
        finished = finished_record(spec)  # another process may have finished it in the meantime
        if finished is not None:
            return finished
        attempt = _new_attempt(spec, parts, folder)
        set_aside_unreadable(folder / RECORD)
        if spec.force:
            forget_checkpoints(folder)
        return attempt.store(attempt.record())


def _spec_for_driver(spec: RunSpec) -> RunSpec:
    """Return the spec as its driver, sgbench's loop or Lightning's Trainer, can run it; else raise an InputError."""
    if spec.trainer.driver == "sgbench":
        for name in spec.callbacks:
            raise InputError(f"callback={name}: Lightning calls it; add trainer=lightning")
        return spec
    from sgbench.training.lightning import torch_spec  # only here: importing Lightning takes seconds

    return torch_spec(spec)


def _new_attempt(spec: RunSpec, parts: Parts | None, folder: Path) -> SingleRun:
    by_lightning = spec.trainer.driver != "sgbench"
    if parts is None or by_lightning:  # Lightning's arguments may ask for another engine than that of `parts`
        parts = build(spec)
    if not by_lightning:
        return SingleRun(spec, parts, folder)
    from sgbench.training.lightning import LightningRun

    return LightningRun(spec, parts, folder)
