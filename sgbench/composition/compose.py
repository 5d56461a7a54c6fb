"""Composes overrides of the command line into a checked `RunSpec`, before torch is loaded."""

import copy
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from fastspiking.formula import canonical_formula
from sgbench.composition import catalogue
from sgbench.composition.formula import formula
from sgbench.composition.hydra_internals import merge
from sgbench.composition.hydra_node import missing_plugin
from sgbench.composition.unused import remove_unused_settings, replace_unused_choices
from sgbench.composition.words import one_line, parse_overrides
from sgbench.errors import InputError, require_number, suggest
from sgbench.paths import default_data_dir, default_runs_dir, with_own
from sgbench.records.files import first_problem
from sgbench.records.spec import GROUPS, NOTHING, SPIKING_CHOICES, Method, RunSpec, entry_group

ROOT_KEYS = ("seed", "engine", "group", "force", "paths", "trainer")
LARGEST_OF_OPTIMIZER = 1e18
"""Bound of every number of an optimiser; its square is still finite in single precision."""
ELSEWHERE = {
    "accelerator": "trainer.device",
    "accumulate_grad_batches": "protocol.batch_size",
    "batch_size": "protocol.batch_size",
    "deterministic": "seed",
    "num_workers": "trainer.batches_ahead",
    "early_stopping": "protocol.patience",
    "enable_progress_bar": "trainer.progress",
    "gradient_clip_val": "clip_norm",
    "learning_rate": "optimizer.lr",
    "log_every_n_steps": "trainer.log_every_steps",
    "max_epochs": "protocol.epochs",
    "num_epochs": "protocol.epochs",
    "precision": "protocol.precision",
}
"""Maps names of settings in Lightning and other libraries to the keys that they have here."""


def decay_per_step(tau_s: float, dt_s: float) -> float:
    r"""Return the factor by which a leaky quantity shrinks in one time step, :math:`e^{-dt/\tau}`.

    In YAML: `beta: ${decay:0.010,${protocol.dt_s}}`, so that a change of time step changes the decay.

    >>> round(decay_per_step(0.010, 0.001), 4)
    0.9048
    """
    tau_s = require_number("tau_s", tau_s, low=0, open_low=True)
    dt_s = require_number("dt_s", dt_s, low=0, open_low=True)
    return math.exp(-dt_s / tau_s)


def default_unless(given: object, default: object) -> object:
    """Return `default`, or None (null in YAML) if another parameter, `given`, is set and replaces this one.

    In YAML: `alpha: ${unless:${.width_fwhm},2.0}`.

    >>> default_unless(None, 2.0), default_unless(0.5, 2.0)
    (2.0, None)
    """
    return default if given is None else None


def register_resolvers() -> None:
    """Register with OmegaConf the functions that references in YAML files of `conf/` call."""
    OmegaConf.register_new_resolver("decay", decay_per_step, replace=True)
    OmegaConf.register_new_resolver("unless", default_unless, replace=True)
    OmegaConf.register_new_resolver("formula", formula, replace=True)
    OmegaConf.register_new_resolver("default_runs_dir", lambda: str(default_runs_dir()), replace=True)
    OmegaConf.register_new_resolver("default_data_dir", lambda: str(default_data_dir()), replace=True)


def compose(
    overrides: Sequence[str] = (), *, config_dirs: Iterable[Path] = (), allow_targets: Iterable[str] = ()
) -> RunSpec:
    """Merge `conf/` with Hydra overrides into a `RunSpec`, checking all that can be checked without torch.

    >>> compose(["surrogate=atan", "seed=3"]).method.choices["surrogate"]
    'atan'
    """
    folders = list(config_dirs)
    return spec_from_config_in_place(raw_config(overrides, folders), catalogue.CatalogueReader(folders, allow_targets))


def raw_config(overrides: Sequence[str], config_dirs: Iterable[Path] = ()) -> DictConfig:
    """Merge files and overrides into Hydra's unresolved tree with its `hydra` node; an InputError if it fails."""
    register_resolvers()
    folders = list(dict.fromkeys(folder.resolve() for folder in with_own(config_dirs)))
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--config-dir {folder}: no such folder")
    _check_choices(overrides, folders)
    try:
        return merge(overrides, folders)
    except InputError:
        raise
    except Exception as error:  # Hydra raises TypeError, OSError and more for unusable overrides
        raise InputError(_explain(error, overrides, folders)) from error


def _check_choices(overrides: Sequence[str], folders: Sequence[Path]) -> None:
    known = [*catalogue.groups(), *(child.name for folder in folders for child in folder.iterdir())]
    for override in parse_overrides(overrides):
        group = str(override.key_or_group).partition("@")[0]
        name = override.value() if not override.is_sweep_override() else None
        if isinstance(name, str) and group.startswith("hydra/"):
            missing = missing_plugin(group, name)
            if missing is not None:
                raise InputError(f"{override.input_line}: {missing}")
        if group not in known or override.is_delete():
            continue
        if isinstance(name, str):
            catalogue.entry(group, name, folders)
        if isinstance(name, list) and not all(isinstance(part, str) for part in name):
            raise InputError(f"{override.input_line}: names of entries are needed; see: sgbench list {group}")


def _explain(error: Exception, overrides: Sequence[str], folders: Sequence[Path]) -> str:
    """Write one line about an error that Hydra raised on merging; for an unknown key, name the nearest one."""
    if any("hydra.sweeper.params" in text for text in overrides):
        return "hydra.sweeper.params: belongs into the file of a sweep; on the command line write -m key=1,2"
    match = re.match(r"Could not (?:override|append|delete)[^']*'([^']+)'", str(error))
    if match is None:
        return one_line(error)
    key = match.group(1)
    others = [text for text in overrides if key not in text]
    if len(others) == len(overrides):
        return one_line(error)
    try:
        tree = merge(others, folders)  # whose keys are the known ones
    except Exception:  # see raw_config
        return one_line(error)
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(tree, parent) if parent else tree
    if not OmegaConf.is_dict(node):
        return f"key '{key}' is not known; '{parent}' holds no keys"
    if last in ELSEWHERE and (not parent or parent == "trainer"):
        return f"key '{key}' is not known; did you mean {ELSEWHERE[last]}?"
    names = [str(name) for name in node if name not in ("hydra", *catalogue.META_KEYS)]
    names += [] if parent else ["experiment"]
    inside = [f"{name}.{last}" for name in names if OmegaConf.select(tree, f"{name}.{last}") is not None]
    if not parent and inside:
        return f"key '{key}' is not known; did you mean {' or '.join(inside)}?"
    return f"key '{key}' is not known; {suggest(last, names)}"


def spec_from_config(
    config: DictConfig,
    *,
    choices: dict[str, Any] | None = None,
    config_dirs: Iterable[Path] = (),
    allow_targets: Iterable[str] = (),
) -> RunSpec:
    """Check a copy of a merged tree and convert it into a `RunSpec`; see `spec_from_config_in_place`."""
    return spec_from_config_in_place(
        copy.deepcopy(config), catalogue.CatalogueReader(config_dirs, allow_targets), choices=choices
    )


def spec_from_config_in_place(
    config: DictConfig, reader: catalogue.CatalogueReader, *, choices: dict[str, Any] | None = None
) -> RunSpec:
    """Check a merged tree of settings and convert it into a `RunSpec`, without a copy of the tree.

    Args:
        config: merged tree; it is modified, so do not use it again.
        reader: reads the catalogue; one reader for many trees reads each entry once.
        choices: maps Hydra's groups to chosen entries; by default those in the tree's `hydra` node.
    """
    chosen = _choices(config) if choices is None else choices
    picked = {group: _canonical(group, _chosen_entry(chosen, group), reader) for group in GROUPS}
    OmegaConf.set_struct(config, None)
    picked = replace_unused_choices(picked, config, reader)
    remove_unused_settings(config, chosen, picked, reader)
    tree = _resolve(config)
    nodes, targets = {}, {}
    for group, name in picked.items():
        if name == NOTHING and group in SPIKING_CHOICES:  # a network without spikes has no neuron or surrogate
            nodes[group] = {}
            continue
        entry = reader.entry(entry_group(group), name)
        nodes[group], targets[group] = _checked_node(group, tree.pop(group, None), entry, reader)
    several: dict[str, dict[str, Any]] = {"logger": {}, "callback": {}}
    for group, settings in several.items():
        for name, node in _without_meta(tree.pop(group, None)).items():
            where = f"{group}.{name}"
            settings[name], targets[where] = _checked_node(where, node, reader.entry(group, name), reader)
    method_tree = {
        "choices": picked,
        "parameters": nodes,
        "protocol": _without_meta(tree.pop("protocol", None)),
        "clip_norm": tree.pop("clip_norm", None),
    }
    tree.pop("meta", None)
    tree.pop("width_fwhm", None)  # already resolved into the surrogate's own node
    run_tree = {key: tree.pop(key, None) for key in ROOT_KEYS}
    run_tree["trainer"] = _without_meta(run_tree["trainer"])
    if tree:
        unknown = sorted(tree)[0]
        known = [*ROOT_KEYS, *GROUPS, "protocol", "clip_norm", "width_fwhm", *several]
        raise InputError(f"key '{unknown}' is not known; {suggest(unknown, known)}")
    try:
        method = Method.model_validate(method_tree)
        spec = {"loggers": several["logger"], "callbacks": several["callback"], "targets": targets, **run_tree}
        return RunSpec.model_validate({"method": method, **spec})
    except ValidationError as error:
        raise InputError(first_problem(error)) from error


def _choices(config: DictConfig) -> dict[str, Any]:
    """Return the chosen entry of each group from the tree's `hydra` node; empty without such a node."""
    node = config.get("hydra")
    choices: Any = {} if node is None else OmegaConf.to_container(node.runtime.choices)
    return choices


def _resolve(config: DictConfig) -> dict[str, Any]:
    """Drop the tree's `hydra` node, then resolve all references, so that no value can depend on that node."""
    try:
        config.pop("hydra", None)
        tree = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        text, key = one_line(error), str(error.full_key or "")
        raise InputError(text if key in text else f"{key}: {text}") from error
    if not isinstance(tree, dict):
        raise InputError("the configuration is not a mapping")
    return {str(key): value for key, value in tree.items()}


def _chosen_entry(choices: dict[str, Any], group: str) -> str:
    key = "neuron@readout" if group == "readout" else group
    name = choices.get(key)
    if not isinstance(name, str):
        raise InputError(f"{group}: one entry has to be chosen; see: sgbench list {entry_group(group)}")
    return name


def _canonical(group: str, name: str, reader: catalogue.CatalogueReader) -> str:
    """Return the name that a chosen entry has in methods: an alias is replaced by the entry that it stands for."""
    if name == NOTHING and group in SPIKING_CHOICES:
        return name
    return reader.entry(entry_group(group), name).canonical


def _checked_node(
    where: str, node: Any, entry: catalogue.Entry, reader: catalogue.CatalogueReader
) -> tuple[dict[str, Any], str]:
    """Check the settings `node` of a chosen entry, at the tree's key `where`; return its parameters and target."""
    if not isinstance(node, dict):
        raise InputError(f"{where}: a mapping of parameters is needed (given: {node!r})")
    target = node.get("_target_")
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
    parameters = {key: value for key, value in _without_meta(node).items() if key not in entry.own}
    for key in parameters:
        if key not in entry.parameters:
            raise InputError(f"key '{where}.{key}' is not known; {suggest(str(key), entry.parameters)}")
    for key in entry.parameters:
        if key not in parameters:
            raise InputError(f"key '{where}.{key}' is missing")
    _check_values(where, parameters, entry.parameters)
    return parameters, entry.target


def _check_values(where: str, parameters: dict[str, Any], defaults: dict[str, Any]) -> None:
    if where == "optimizer":
        _require_numbers(parameters, defaults)
    if where == "surrogate" and "formula" in parameters:
        parameters["formula"] = canonical_formula(parameters["formula"])


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
    return {str(key): value for key, value in node.items() if key not in catalogue.META_KEYS}
