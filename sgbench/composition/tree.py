"""Checks a merged tree of settings and converts it into a `RunSpec`."""

import json
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from fastspiking.formula import canonical_formula
from sgbench.composition.catalogue import META_KEYS, CatalogueReader, Entry
from sgbench.composition.overrides import one_line
from sgbench.errors import InputError, require_number, suggest
from sgbench.records.files import first_problem
from sgbench.records.spec import GROUPS, NOTHING, SPIKING_CHOICES, Method, RunSpec, entry_group

ROOT_KEYS = ("seed", "engine", "group", "force", "paths", "trainer")
"""Keys that are no part of a method."""
LARGEST_OF_OPTIMIZER = 1e18
"""Bound of every number of an optimiser; its square is still finite in single precision."""
WITHOUT_SPIKES = {"steepness": "fixed", "firing": "step", "regulariser": "none"}
"""Maps groups that describe spikes to their entries without effect, for networks without spikes."""
PRESETS = ("experiment", "sweep")
"""Groups whose entries set values in other groups."""


def spec_from_config(config: DictConfig, reader: CatalogueReader, *, choices: dict[str, Any] | None = None) -> RunSpec:
    """Check a merged tree of settings and convert it into a `RunSpec`.

    `config` is modified, so do not use it again. One `reader` for many trees reads each entry once. `choices` maps
    Hydra's groups to chosen entries; by default the tree's `hydra` node says which.
    """
    chosen = _choices(config) if choices is None else choices
    picked = {group: _chosen_entry(chosen, group, reader) for group in GROUPS}
    OmegaConf.set_struct(config, None)  # so that keys can be removed
    if reader.entry("network", picked["network"]).meta.get("spikes") is False:
        picked = _replace_spiking_choices(picked, config, reader)
    _remove_unused_settings(config, chosen, picked, reader)
    tree = _resolve(config)
    parameters, targets = _take_groups(tree, picked, reader)
    plugins: dict[str, dict[str, Any]] = {"logger": {}, "callback": {}}  # several entries of each can be chosen
    for group, settings in plugins.items():
        for name, node in _without_meta(tree.pop(group, None)).items():
            where = f"{group}.{name}"
            settings[name], targets[where] = _checked_node(where, node, reader.entry(group, name), reader)
    method = {
        "choices": picked,
        "parameters": parameters,
        "protocol": _without_meta(tree.pop("protocol", None)),
        "clip_norm": tree.pop("clip_norm", None),
    }
    run = {key: tree.pop(key, None) for key in ROOT_KEYS}
    run["trainer"] = _without_meta(run["trainer"])
    # Left are facts about entries, and a width that the surrogate's own node has taken over.
    unknown = sorted({*tree} - {"meta", "width_fwhm"})
    if unknown:
        known = [*ROOT_KEYS, *GROUPS, "protocol", "clip_norm", "width_fwhm", *plugins]
        raise InputError(f"key '{unknown[0]}' is not known; {suggest(unknown[0], known)}")
    spec = {"loggers": plugins["logger"], "callbacks": plugins["callback"], "targets": targets, **run}
    try:
        return RunSpec.model_validate({"method": Method.model_validate(method), **spec})
    except ValidationError as error:
        raise InputError(first_problem(error)) from error


def _choices(config: DictConfig) -> dict[str, Any]:
    """Map groups to chosen entries, as the tree's `hydra` node lists them; empty without such a node."""
    node = config.get("hydra")
    choices: Any = {} if node is None else OmegaConf.to_container(node.runtime.choices)
    return choices


def _chosen_entry(choices: dict[str, Any], group: str, reader: CatalogueReader) -> str:
    """Return the name of a group's chosen entry, as methods bear it: an alias counts as the entry it stands for."""
    name = choices.get("neuron@readout" if group == "readout" else group)
    if not isinstance(name, str):
        raise InputError(f"{group}: one entry has to be chosen; see: sgbench list {entry_group(group)}")
    is_nothing = name == NOTHING and group in SPIKING_CHOICES
    return name if is_nothing else reader.entry(entry_group(group), name).canonical


def _replace_spiking_choices(picked: dict[str, str], config: DictConfig, reader: CatalogueReader) -> dict[str, str]:
    """Replace the choices that describe spikes, for a network without spikes; modifies the tree, returns the choices.

    So networks without spikes that differ only in a neuron or a surrogate, which they do not have, are one method.
    """
    for group in SPIKING_CHOICES:
        config.pop(group, None)
    for group, name in WITHOUT_SPIKES.items():
        config[group] = {"_target_": reader.entry(group, name).target}
    return {**picked, **dict.fromkeys(SPIKING_CHOICES, NOTHING), **WITHOUT_SPIKES}


def _remove_unused_settings(
    config: DictConfig, choices: dict[str, Any], picked: dict[str, str], reader: CatalogueReader
) -> None:
    """Remove settings that an experiment or sweep makes for an entry which another choice has replaced.

    A setting stays if the chosen entry has a parameter of its name. A setting that was changed on the command line
    stays too, and is later refused as unknown. An entry's `meta.takes` maps such settings to its own parameters;
    these get the removed value, unless they were changed. `choices` names the experiment and the sweep, `picked` the
    entry of each group of a method.
    """
    for preset in PRESETS:
        for group, settings in _preset_settings(preset, choices.get(preset), reader).items():
            if group in GROUPS and isinstance(settings, dict) and picked[group] != NOTHING:
                _remove_unused(config, group, settings, reader.entry(entry_group(group), picked[group]))


def _preset_settings(preset: str, name: object, reader: CatalogueReader) -> dict[str, Any]:
    """Map groups to the settings that an experiment or a sweep makes; empty if the catalogue has no such entry."""
    try:
        return reader.entry(preset, name).parameters if isinstance(name, str) else {}
    except InputError:  # its file is in a folder that only Hydra searches
        return {}


def _remove_unused(config: DictConfig, group: str, settings: dict[str, Any], entry: Entry) -> None:
    """Remove the settings of one group that its chosen entry lacks; see `_remove_unused_settings`."""
    node: Any = OmegaConf.to_container(config[group], resolve=False)
    takes = entry.meta.get("takes") or {}
    for key, value in settings.items():
        if key in entry.parameters or node.get(key) != value:  # it is used, or was changed on the command line
            continue
        del config[group][key]
        equivalent = takes.get(key)  # the entry's own parameter that means the same
        if equivalent is not None and node.get(equivalent) == entry.parameters[equivalent]:
            config[group][equivalent] = _replace_default(entry.parameters[equivalent], value)


def _replace_default(default: object, value: object) -> object:
    """Return the value that replaces a parameter's default; a default `${unless:...}` keeps its condition."""
    if isinstance(default, str) and default.startswith("${unless:"):
        return f"{default.rpartition(',')[0]},{json.dumps(value)}}}"
    return value


def _resolve(config: DictConfig) -> dict[str, Any]:
    """Drop the tree's `hydra` node, then resolve all references, so that no value can depend on that node."""
    try:
        config.pop("hydra", None)
        tree = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        message, key = one_line(error), str(error.full_key or "")
        raise InputError(message if key in message else f"{key}: {message}") from error
    if not isinstance(tree, dict):
        raise InputError("the configuration is not a mapping")
    return {str(key): value for key, value in tree.items()}


def _take_groups(
    tree: dict[str, Any], picked: dict[str, str], reader: CatalogueReader
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Take the nodes of a method's groups out of the tree, checked; map groups to parameters, and to targets."""
    parameters: dict[str, dict[str, Any]] = {}
    targets: dict[str, str] = {}
    for group, name in picked.items():
        if name == NOTHING and group in SPIKING_CHOICES:  # a network without spikes has no neuron or surrogate
            parameters[group] = {}
        else:
            entry = reader.entry(entry_group(group), name)
            parameters[group], targets[group] = _checked_node(group, tree.pop(group, None), entry, reader)
    return parameters, targets


def _checked_node(where: str, node: Any, entry: Entry, reader: CatalogueReader) -> tuple[dict[str, Any], str]:
    """Check the settings `node` of a chosen entry, at the tree's key `where`; return its parameters and target."""
    if not isinstance(node, dict):
        raise InputError(f"{where}: a mapping of parameters is needed (given: {node!r})")
    _require_target(where, node.get("_target_"), entry, reader)
    parameters = {key: value for key, value in _without_meta(node).items() if key not in entry.own}
    for key in parameters:
        if key not in entry.parameters:
            raise InputError(f"key '{where}.{key}' is not known; {suggest(str(key), entry.parameters)}")
    for key in entry.parameters:
        if key not in parameters:
            raise InputError(f"key '{where}.{key}' is missing")
    if where == "optimizer":
        _require_numbers(parameters, entry.parameters)
    if where == "surrogate" and "formula" in parameters:
        parameters["formula"] = canonical_formula(parameters["formula"])
    return parameters, str(entry.target)


def _require_target(where: str, target: object, entry: Entry, reader: CatalogueReader) -> None:
    """Raise an InputError unless a node's target is that of its entry, and may be imported."""
    if entry.target is None:
        raise InputError(f"{entry.path}: _target_, the class behind the entry, is missing")
    if target != entry.target:
        raise InputError(
            f"{where}._target_={target}: the target of entry '{entry.name}' is {entry.target} and cannot be "
            f"replaced; write an entry of your own and name its folder with --config-dir"
        )
    if not reader.allows(entry):
        raise InputError(
            f"{where}: target {entry.target} of {entry.path} is not allowed; if you trust it, "
            f"add --allow-target {entry.target}, or set SGBENCH_ALLOW_TARGET={entry.target} for all commands; "
            f"no file of a folder can allow it, since a folder handed on would trust itself"
        )


def _require_numbers(parameters: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise an InputError unless each value of an optimiser is of its default's kind: number, list or boolean."""
    for key, default in defaults.items():
        value = parameters[key]
        sample = default[0] if isinstance(default, list) else default
        if isinstance(default, bool) and not isinstance(value, bool):
            raise InputError(f"optimizer.{key}={value}: true or false is needed")
        if isinstance(default, list) and isinstance(value, list) and len(value) != len(default):
            raise InputError(f"optimizer.{key}={value}: {len(default)} numbers are needed, e.g. {default}")
        if isinstance(sample, int | float) and not isinstance(sample, bool):
            for item in value if isinstance(default, list) and isinstance(value, list) else [value]:
                require_number(f"optimizer.{key}", item, low=-LARGEST_OF_OPTIMIZER, high=LARGEST_OF_OPTIMIZER)


def _without_meta(node: Any) -> dict[str, Any]:
    """Return a node's settings without `_target_`, `meta` and `defaults`; empty for a node that is no mapping."""
    if not isinstance(node, dict):
        return {}
    return {str(key): value for key, value in node.items() if key not in META_KEYS}
