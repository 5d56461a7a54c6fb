"""Specifications with other entries of the catalogue, a tenth of the time of composing each with Hydra.

Hydra's own part, the merging, has tests of its own; `spec_from_config` is the product's.
"""

from __future__ import annotations

import functools
import importlib
import pickle
from typing import Any

import yaml
from omegaconf import OmegaConf

from sgbench.composition import catalogue
from sgbench.composition.compose import raw_config
from sgbench.composition.overrides import Overrides
from sgbench.composition.tree import spec_from_config
from sgbench.records.spec import RunSpec, entry_group


def spec_with(choices: dict[str, str], values: dict[str, Any] | None = None) -> RunSpec:
    """The default specification with other entries, e.g. {"readout": "leaky"}, and values by dotted names."""
    config, chosen = pickle.loads(_default())  # noqa: S301 - written below; far faster than `copy.deepcopy`
    for choice, name in choices.items():
        OmegaConf.set_struct(config, None)
        config[choice] = _tree(entry_group(choice), name)
        chosen["neuron@readout" if choice == "readout" else choice] = name
    for name, value in (values or {}).items():
        OmegaConf.update(config, name, value)
    return spec_from_config(config, _shelf(), choices=chosen)


def spec_of(*words: str) -> RunSpec:
    """What `compose` makes of words that choose entries of sgbench or set values, e.g. "neuron.beta=0.8"."""
    pairs = [word.partition("=")[::2] for word in words]
    groups = {*catalogue.TARGET_GROUPS, "protocol", "neuron@readout"}
    choices = {name.removeprefix("neuron@"): value for name, value in pairs if name in groups}
    values = {name: yaml.safe_load(value) for name, value in pairs if name not in groups}
    return spec_with(choices, values)


def made(choice: str, name: str) -> Any:
    """An entry with the values of its file."""
    from sgbench.training.build import construct

    spec = spec_with({choice: name})
    return construct(choice, spec.targets[choice], spec.method.parameters[choice])


@functools.cache
def _tree(group: str, name: str) -> dict[str, Any]:
    """What the file of an entry holds."""
    text = _shelf().entry(group, name).path.read_text(encoding="utf-8")
    tree: dict[str, Any] = yaml.load(text, Loader=catalogue.SafeLoader)  # noqa: S506 - it is safe
    return tree


@functools.cache
def class_of(group: str, name: str) -> Any:
    """The class behind an entry."""
    module, _, attribute = str(_shelf().entry(group, name).target).rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@functools.cache
def _default() -> bytes:
    """The merged tree without words, without its `hydra` node, and what it chooses, pickled."""
    config = raw_config(Overrides.of(()))
    chosen = dict(OmegaConf.to_container(config.hydra.runtime.choices))
    OmegaConf.set_struct(config, None)
    del config["hydra"]  # half of the tree, and looked at only for the choices
    OmegaConf.set_struct(config, True)
    return pickle.dumps((config, chosen))


@functools.cache
def _shelf() -> catalogue.CatalogueReader:
    """The shipped catalogue, each file read once."""
    return catalogue.CatalogueReader()
