"""Removes choices and settings that have no effect, before a method gets its name from the rest."""

import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sgbench.composition.catalogue import CatalogueReader
from sgbench.errors import InputError
from sgbench.records.spec import GROUPS, NOTHING, SPIKING_CHOICES, entry_group

WITHOUT_SPIKES = {"steepness": "fixed", "firing": "step", "regulariser": "none"}
"""Maps groups that describe spikes to their entries without effect, for networks without spikes."""
PRESETS = ("experiment", "sweep")
"""Groups whose entries set values in other groups."""


def replace_unused_choices(picked: dict[str, str], config: DictConfig, catalogue: CatalogueReader) -> dict[str, str]:
    if catalogue.entry("network", picked["network"]).meta.get("spikes") is not False:
        return picked
    for group in SPIKING_CHOICES:
        config.pop(group, None)
    for group, name in WITHOUT_SPIKES.items():
        config[group] = {"_target_": catalogue.entry(group, name).target}
    return {**picked, **dict.fromkeys(SPIKING_CHOICES, NOTHING), **WITHOUT_SPIKES}


def remove_unused_settings(
    config: DictConfig, choices: dict[str, Any], picked: dict[str, str], catalogue: CatalogueReader
) -> None:
    """Remove settings that an experiment or sweep makes for an entry which another choice has replaced.

    A setting stays if the chosen entry has a parameter of its name. A setting that was changed on the command line
    stays too, and is later refused as unknown. An entry's `meta.takes` maps such settings to its own parameters;
    these get the removed value, unless they were changed.

    `config`: the merged tree, unresolved; it is modified. `choices`: maps Hydra's groups, experiment and sweep among
    them, to chosen entries. `picked`: maps each group of a method to the name of its chosen entry. `catalogue`: looks
    up entries.
    """
    for preset in PRESETS:
        for group, settings in _settings_of(choices.get(preset), preset, catalogue).items():
            if group in GROUPS and isinstance(settings, dict) and picked[group] != NOTHING:
                _remove_unused(config, group, settings, catalogue.entry(entry_group(group), picked[group]))


def _settings_of(name: object, preset: str, catalogue: CatalogueReader) -> dict[str, Any]:
    """Map groups to the settings that an experiment or a sweep makes; empty if the catalogue has no such entry."""
    try:
        return catalogue.entry(preset, name).parameters if isinstance(name, str) else {}
    except InputError:  # its file is in a folder that only Hydra searches
        return {}


def _remove_unused(config: DictConfig, group: str, settings: dict[str, Any], entry: Any) -> None:
    node: Any = OmegaConf.to_container(config[group], resolve=False)
    takes = entry.meta.get("takes") or {}
    for key, value in settings.items():
        if key in entry.parameters or node.get(key) != value:
            continue
        del config[group][key]
        other = takes.get(key)
        if other is not None and node.get(other) == entry.parameters[other]:
            config[group][other] = _replacement(entry.parameters[other], value)


def _replacement(default: object, value: object) -> object:
    """Return the value that replaces a parameter's default; a default `${unless:...}` keeps its condition."""
    if isinstance(default, str) and default.startswith("${unless:"):
        return f"{default.rpartition(',')[0]},{json.dumps(value)}}}"
    return value
