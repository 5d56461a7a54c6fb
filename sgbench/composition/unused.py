"""Choices and settings that would come to nothing: they are taken out before a method gets its name."""

from __future__ import annotations

import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sgbench.composition.catalogue import CatalogueReader
from sgbench.errors import InputError
from sgbench.records.spec import GROUPS, NOTHING, SPIKING_CHOICES, entry_group

INSTEAD = {"steepness": "fixed", "firing": "step", "regulariser": "none"}
"""What stands for a choice that is about spikes in a network that has none, where an entry does nothing."""
PRESETS = ("experiment", "sweep")
"""Groups whose entries make settings of other groups."""


def is_without_spikes(picked: dict[str, str], catalogue: CatalogueReader) -> bool:
    """Return whether the network chosen has no spiking neurons: its file has `spikes: false`."""
    return catalogue.entry("network", picked["network"]).meta.get("spikes") is False


def take_out_choices(
    picked: dict[str, str], config: DictConfig, catalogue: CatalogueReader
) -> dict[str, str]:
    """Remove the choices without effect; in a network without spikes, those that describe spikes have none.

    Args:
        picked: entry by group.
        config: the merged tree, of which the nodes of such choices are changed.
        catalogue: in which entries are looked up.
    """
    if not is_without_spikes(picked, catalogue):
        return picked
    for group in SPIKING_CHOICES:
        config.pop(group, None)
    for group, name in INSTEAD.items():
        config[group] = {"_target_": catalogue.entry(group, name).target}
    return {**picked, **dict.fromkeys(SPIKING_CHOICES, NOTHING), **INSTEAD}


def take_out_settings(
    config: DictConfig, choices: dict[str, Any], picked: dict[str, str], catalogue: CatalogueReader
) -> None:
    """Remove an experiment's or sweep's settings for an entry that another choice has replaced.

    A setting stays if the entry chosen instead has a parameter of its name. So does one that was changed on the
    command line, and is then refused as unknown. The chosen entry's `takes` (in `meta`) may name a parameter of its
    own that gets the value of a setting taken out, unless it was changed.

    Args:
        config: the merged tree, unresolved.
        choices: Hydra's, those of experiment and sweep among them.
        picked: entry by group.
        catalogue: in which entries are looked up.
    """
    for preset in PRESETS:
        for group, settings in _settings_of(choices.get(preset), preset, catalogue).items():
            if group in GROUPS and isinstance(settings, dict) and picked[group] != NOTHING:
                _take_out(config, group, settings, catalogue.entry(entry_group(group), picked[group]))


def _settings_of(name: object, preset: str, catalogue: CatalogueReader) -> dict[str, Any]:
    """Return the settings that an experiment or a sweep makes; empty if the catalogue has no entry of this name."""
    try:
        return catalogue.entry(preset, name).parameters if isinstance(name, str) else {}
    except InputError:  # of a folder that Hydra alone knows
        return {}


def _take_out(config: DictConfig, group: str, settings: dict[str, Any], entry: Any) -> None:
    """Take settings out of a group whose entry does not use them."""
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
    """Replace a default that gives way to another parameter by a value that gives way too."""
    if isinstance(default, str) and default.startswith("${unless:"):
        return f"{default.rpartition(',')[0]},{json.dumps(value)}}}"
    return value
