"""Rebuilds a run from its record, with its stored weights, or builds one from overrides."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sgbench.composition.compose import compose
from sgbench.errors import InputError, one_printable_line
from sgbench.leaderboard.score import Measure, measures
from sgbench.networks.base import Network
from sgbench.paths import RECORD, WEIGHTS
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec, choice_overrides
from sgbench.submissions.verify.recompose import with_new_parameters
from sgbench.training.build import Parts, build
from sgbench.training.run_folder import folder_of, stored_record
from sgbench.training.train_step import Epochs, Part

EXECUTION_KEYS = ("paths.", "trainer.", "engine=")


class StoredRun(NamedTuple):
    """Holds a run that was built again, and its record if it has one."""

    name: str  # for messages
    spec: RunSpec
    parts: Parts  # network, data, rule and other objects
    folder: Path
    record: RunRecord | None
    measure: Measure  # accuracy or loss, by which its task is scored

    @property
    def is_at_chance(self) -> bool:
        return self.record is not None and self.measure.is_at_chance(self.record.validation)


def folder_with_record(argument: str) -> Path | None:
    """Return the folder that an argument names, itself or by the path of its record; None if it has no record.

    >>> folder_with_record("surrogate=atan") is None
    True
    """
    path = Path(argument)
    if path.name == RECORD and path.is_file():
        return path.parent
    return path if (path / RECORD).is_file() else None


def stored_run(
    overrides: Sequence[str], *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> StoredRun:
    """Build a run again, from its record or from overrides.

    `overrides`: a folder with a record, then Hydra overrides of its execution, e.g. "paths.data_dir=DIR"; or the Hydra
    overrides of a run. `config_dirs`: folders with entries of your own. `allow_targets`: exact names of classes outside
    the catalogue that may be imported.
    """
    options: dict[str, Any] = {"config_dirs": config_dirs, "allow_targets": allow_targets}
    folder = folder_with_record(overrides[0]) if overrides else None
    if folder is None:
        for override in overrides:
            if "=" not in override:
                raise InputError(
                    f"'{override}' is no run; give a folder with a {RECORD}, or overrides such as surrogate=atan"
                )
        spec = compose(overrides, **options)
        measure = measures(config_dirs)(spec.method)
        return StoredRun("these overrides", spec, build(spec), folder_of(spec), stored_record(spec), measure)
    for override in overrides[1:]:
        if not override.startswith(EXECUTION_KEYS):
            raise InputError(
                f"'{override}': a stored run is rebuilt as it was; only {', '.join(EXECUTION_KEYS)}... can be changed"
            )
    return rebuild_run(folder, read_record(folder), overrides=overrides[1:], **options)


def read_record(folder: Path) -> RunRecord:
    return read_model(folder / RECORD, RunRecord)


def rebuild_run(
    folder: Path,
    record: RunRecord,
    *,
    overrides: Sequence[str] = (),
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> StoredRun:
    method = record.method
    overrides_of_record = [f"protocol={method.protocol.name}", f"seed={record.seed}", "trainer.device=cpu"]
    spec = compose(
        [*overrides_of_record, *choice_overrides(method.choices), *overrides],
        config_dirs=config_dirs,
        allow_targets=allow_targets,
    )
    spec = spec.model_copy(update={"method": with_new_parameters(method, spec.method)})
    return StoredRun(str(folder), spec, build(spec), folder, record, measures(config_dirs)(spec.method))


def load_selected(run: StoredRun) -> Network:
    record = run.record
    if record is None or record.status != "finished":
        state = "has not been run" if record is None else "has failed"
        raise InputError(f"{run.name}: the run {state}, so it has no selected weights; use --weights initial")
    path = run.folder / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; the weights of a finished run lie there; use --weights initial"
        ) from error
    if hashlib.sha256(data).hexdigest() != record.weights_sha256:
        raise InputError(f"{path}: not the weights that the record names; use --weights initial")
    from safetensors.torch import load

    try:
        run.parts.network.load_state_dict(load(data))
    except Exception as error:
        raise InputError(f"{path}: {one_printable_line(error)}") from error
    return run.parts.network


def prepare_pass(run: StoredRun, part: Part, epoch: int) -> None:
    torch.set_num_threads(run.spec.trainer.threads)
    Epochs(run.parts.steepness, run.spec.method.protocol.epochs, run.spec.seed).begin(run.parts.network, part, epoch)
