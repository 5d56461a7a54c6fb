"""Composes an untrusted method from entry names and numbers, with the catalogue's own classes."""

from pathlib import Path

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, method_deviations
from sgbench.records.method import with_new_parameters
from sgbench.records.spec import Method, RunSpec, choice_overrides


def recompose(method: Method, seed: int, *, runs_dir: Path, references: References) -> RunSpec:
    """Compose the run of a method from its entries and numbers.

    The entries alone are composed, which gives the classes; then the method's numbers, checked to be parameters of
    these entries, replace the defaults. The device is the CPU, so that all verifiers compute the same.
    """
    reference = references.of(method.protocol.name)
    first = next(method_deviations(method, seed, reference), None)
    if first is not None:
        raise InputError(f"{method.protocol.name}: {first}")
    overrides = [f"protocol={method.protocol.name}", f"seed={seed}", "trainer.device=cpu", "trainer.progress=false"]
    spec = compose(
        [*overrides, *choice_overrides(method.choices)],
        config_dirs=references.config_dirs,
        allow_targets=references.allow_targets,
    )
    paths = spec.paths.model_copy(update={"runs_dir": str(runs_dir)})
    complete = with_new_parameters(method, spec.method)
    return spec.model_copy(update={"method": complete, "paths": paths, "loggers": {}, "group": None})
