"""Creation of one object of the catalogue by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from torch import nn

from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError, suggest
from sgbench.neurons.base import Neuron
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import PROVIDED, construct

if TYPE_CHECKING:
    from sgbench.composition.known_names import NeuronName, SurrogateName  # a stub: names for editors

GROUPS = tuple(sorted(set(PROVIDED) - {"callback", "logger"}))


@overload
def create(
    name: SurrogateName, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = (), **parameters: Any
) -> Surrogate: ...


@overload
def create(
    name: NeuronName, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = (), **parameters: Any
) -> Neuron: ...


@overload
def create(
    name: str, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = (), **parameters: Any
) -> Any: ...


def create(name: str, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = (), **parameters: Any) -> Any:
    """Create one object of the catalogue, with the defaults of its YAML file.

    Args:
        name: "GROUP/ENTRY", e.g. "surrogate/atan" or "neuron/leaky".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        parameters: values in place of defaults; objects, such as a neuron's `surrogate`, are passed to the class.

    Raises:
        InputError: a name is unknown, or a value out of range.

    >>> surrogate = create("surrogate/atan", alpha=2.0)
    >>> neuron = create("neuron/leaky", beta=0.9, surrogate=surrogate)
    >>> neuron.beta()
    0.9
    """
    config_dirs = [Path(folder) for folder in config_dirs]
    group, _, entry_name = name.partition("/")
    if group not in GROUPS or not entry_name:
        raise InputError(f"'{name}': GROUP/ENTRY is needed, e.g. surrogate/atan; {suggest(group, GROUPS)}")
    entry = catalogue.entry(group, entry_name, config_dirs)
    objects = {key: value for key, value in parameters.items() if key in PROVIDED[group]}
    settings = {key: value for key, value in parameters.items() if key not in objects}
    for key in settings:
        if key not in entry.parameters and key not in entry.own:
            known = [*entry.own, *entry.parameters, *PROVIDED[group]]
            raise InputError(f"parameter '{key}' of {name} is not known; {suggest(key, known)}")
    overrides = [f"{group}={entry_name}", *(f"{group}.{key}={_value_text(value)}" for key, value in settings.items())]
    spec = compose(overrides, config_dirs=config_dirs, allow_targets=allow_targets)
    if group == "neuron" and "surrogate" not in objects:
        objects["surrogate"] = construct("surrogate", spec.targets["surrogate"], spec.method.parameters["surrogate"])
    part = construct(group, spec.targets[group], spec.method.parameters[group], **objects)
    return part.float() if isinstance(part, nn.Module) else part


def _value_text(value: Any) -> str:
    """Write a value in Hydra's override grammar.

    >>> _value_text([True, None, "a b"])
    "[true,null,'a b']"
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ",".join(_value_text(item) for item in value) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(value)
