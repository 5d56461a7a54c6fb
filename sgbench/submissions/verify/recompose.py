"""A stranger's method with the catalogue's own classes: entry names and numbers, never a submitted target."""

from __future__ import annotations

from pathlib import Path

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, method_deviations
from sgbench.records.method import NEUTRAL
from sgbench.records.spec import Method, RunSpec, choice_overrides


def recompose(method: Method, seed: int, *, runs_dir: Path, references: References) -> RunSpec:
    """Compose the run that a method's names and numbers describe.

    The catalogue is composed with the names alone, which gives the classes; then the numbers, which are known to be
    numbers of these entries, take the place of the defaults. The device is the processor, so that two verifiers see
    the same.

    Raises:
        InputError: a name is not in the catalogue, or a number is none of the entry.
    """
    reference = references.of(method.protocol.name)
    first = next(method_deviations(method, seed, reference), None)
    if first is not None:
        raise InputError(f"{method.protocol.name}: {first}")
    words = [
        f"protocol={method.protocol.name}",
        f"seed={seed}",
        "trainer.device=cpu",
        "trainer.progress=false",
    ]
    spec = compose(
        [*words, *choice_overrides(method.choices)],
        config_dirs=references.config_dirs,
        allow_targets=references.allow_targets,
    )
    paths = spec.paths.model_copy(update={"runs_dir": str(runs_dir)})
    whole = completed(method, spec.method)
    return spec.model_copy(update={"method": whole, "paths": paths, "loggers": {}, "group": None})


def completed(method: Method, composed: Method) -> Method:
    """Add neutral values of parameters that a method's entries have got since it ran; its id stays."""
    parameters = {}
    for group, own in method.parameters.items():
        later = {key: f"{group}.{key}" for key in composed.parameters[group] if key not in own}
        parameters[group] = own | {key: NEUTRAL[name] for key, name in later.items() if name in NEUTRAL}
    return method.model_copy(update={"parameters": parameters})
