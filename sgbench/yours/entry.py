"""Writes the catalogue entry, experiment and protocol of a user's own data, as YAML."""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from sgbench.composition import catalogue
from sgbench.datasets.base import SPLITS, fingerprint
from sgbench.datasets.own import Own, store
from sgbench.encoders.base import Form
from sgbench.errors import InputError, require_count
from sgbench.paths import default_data_dir, own_conf_dir
from sgbench.records.files import write_atomic
from sgbench.records.unfinished import new_folder, remove_abandoned
from sgbench.yours.samples import Prepared, commonest_share

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
ENCODERS: dict[Form, str] = {"values": "latency", "traces": "direct", "spikes": "binned"}
"""The default encoder of each form of data."""
TIME_CONSTANT_STEPS = 10
"""Default membrane time constant in time steps: the catalogue's 10 ms at steps of 1 ms."""
HASH_DIGITS = 8
FREE = (
    "surrogate", "neuron", "readout", "rule", "loss", "regulariser", "init", "optimizer", "clip_norm",
    "network.recurrence", "network.recurrence_gradient", "network.bias",
)  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """Holds the settings of a protocol that a user may choose; all enter the hash in its name."""

    hidden: tuple[int, ...] = (64,)  # neurons of each hidden layer
    epochs: int | None = None  # of training; None: about a thousand updates, 30 to 300 epochs
    batch_size: int = 32  # samples of a batch
    seeds: int = 5  # number of seeds that report
    encoder: str | None = None  # name of the encoder; None: the default of the data's form
    steps: int | None = None  # time steps of a sample; None: those of the data


@dataclass(frozen=True)
class WrittenEntry:
    """Holds the name and folders of the written entry of a user's data."""

    name: str  # of the data set and the experiment; that of the protocol ends in `_v1`
    conf: Path  # folder of the entries
    data: Path  # folder of the samples
    notes: list[str] = field(default_factory=list)  # lines on how the data were read and divided

    @property
    def protocol(self) -> str:
        return f"{self.name}_v1"

    @property
    def commands(self) -> tuple[str, ...]:
        """List two commands to type next: a first sweep, and its board."""
        overrides = "surrogate=atan,triangle width_fwhm=0.1,0.5 seed=0,1,2,3,4"
        return (
            f"sgbench run -m hydra/launcher=replicas experiment={self.name} {overrides}",
            f"sgbench board show --from runs --protocol {self.protocol}",
        )


def write_entry(name: str, prepared: Prepared, terms: Terms, *, data_dir: Path | None = None) -> WrittenEntry:
    """Store samples, and write the YAML files of their data set, experiment and protocol.

    The name gets a hash of samples and terms, so that results of other data or other terms never meet on one
    leaderboard. Samples that are stored already are not stored again. If a file cannot be written, new ones are
    removed.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"name '{name}': lower-case letters, digits and _ are needed, e.g. my_gestures")
    terms = _with_epochs(terms, len(prepared.splits["train"].target))
    task = _task_settings(prepared, terms)
    data, sha256, is_new = _store_samples(prepared, data_dir)
    text = json.dumps([sha256, task, asdict(terms)], sort_keys=True)
    full = f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]}"
    conf = own_conf_dir().resolve()
    entry = WrittenEntry(full, conf, data, prepared.notes)
    sizes = {split: len(prepared.splits[split].target) for split in SPLITS}
    files = {
        "dataset": _dataset_tree(full, prepared, sha256, sizes),
        "protocol": _protocol_tree(entry.protocol, prepared, terms, task, sizes),
        "experiment": _experiment_tree(full, prepared, task),
    }
    texts: dict[Path, str] = {}
    for group, tree in files.items():
        stem = entry.protocol if group == "protocol" else full
        head = "# @package _global_\n" if group == "experiment" else ""
        body = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
        texts[conf / group / f"{stem}.yaml"] = head + body
    try:
        _write_all(texts)
    except OSError:
        if is_new:
            shutil.rmtree(data, ignore_errors=True)
        raise
    return entry


def _write_all(texts: dict[Path, str]) -> None:
    """Write all files or none: what is new is removed if one cannot be written."""
    new = [path for path in texts if not path.exists()]
    for folder in {path.parent for path in texts}:
        remove_abandoned(folder)
    try:
        for path, text in texts.items():
            write_atomic(path, text.encode())
    except OSError:
        for path in new:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise


UPDATES, FEWEST_EPOCHS, MOST_EPOCHS = 1000, 30, 300


def _with_epochs(terms: Terms, samples: int) -> Terms:
    """Check the numbers of terms, and set missing epochs so that training makes about UPDATES updates.

    >>> _with_epochs(Terms(), 72).epochs, _with_epochs(Terms(), 640).epochs
    (300, 50)
    """
    for key in ("batch_size", "seeds"):
        require_count(key, getattr(terms, key))
    for size in terms.hidden:
        require_count("hidden", size)
    if terms.epochs is not None:
        return replace(terms, epochs=require_count("epochs", terms.epochs))
    wanted = -(-UPDATES // -(-samples // terms.batch_size))
    return replace(terms, epochs=min(MOST_EPOCHS, max(FEWEST_EPOCHS, wanted)))


def _store_samples(prepared: Prepared, data_dir: Path | None) -> tuple[Path, str, bool]:
    """Store the samples unless they exist; return their folder, their SHA-256, and whether they are new."""
    sha256 = fingerprint(prepared.splits)
    root = default_data_dir() if data_dir is None else data_dir
    sizes = [len(prepared.splits[split].target) for split in SPLITS]
    data_set = Own(
        sha256=sha256, form=prepared.form, n_inputs=prepared.n_inputs, classes=len(prepared.labels), samples=sizes
    )
    folder = data_set.folder(root)
    is_new = data_set.missing(root) is not None
    if is_new:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent)
        with new_folder(folder) as temporary:
            store(prepared.splits, temporary)
            if folder.exists():
                shutil.rmtree(folder)  # incomplete: files were removed
            temporary.chmod(0o755)
            temporary.rename(folder)
    return folder, sha256, is_new


def _task_settings(prepared: Prepared, terms: Terms) -> dict[str, Any]:
    """Return the name of the encoder, the number of time steps and their duration [s], by key."""
    encoder = terms.encoder or ENCODERS[prepared.form]
    catalogue.entry("encoder", encoder)
    steps = prepared.steps if terms.steps is None else require_count("steps", terms.steps)
    return {"encoder": encoder, "steps": steps, "dt_s": prepared.dt_s}


def _dataset_tree(name: str, prepared: Prepared, sha256: str, sizes: dict[Any, int]) -> dict[str, Any]:
    """Return the YAML of the data set's entry."""
    return {
        "_target_": f"{Own.__module__}.{Own.__qualname__}",
        "sha256": sha256,
        "form": prepared.form,
        "n_inputs": prepared.n_inputs,
        "classes": len(prepared.labels),
        "samples": [sizes[split] for split in SPLITS],
        "meta": {
            "line": f"{name}: {prepared.form} of a user's own.",
            "licence": "the user's own",
            "sources": ["the user's own"],
            "origin": "files",
            "classes": len(prepared.labels),
            "labels": prepared.labels,
            "sizes": {str(split): sizes[split] for split in SPLITS},
            "sha256": sha256,
        },
    }


def _protocol_tree(
    name: str, prepared: Prepared, terms: Terms, task: dict[str, Any], sizes: dict[Any, int]
) -> dict[str, Any]:
    """Return the YAML of the protocol."""
    commonest = commonest_share(prepared.splits["test"].target.numpy())
    even = 1 / len(prepared.labels)
    tree: dict[str, Any] = {
        "name": name,
        "about": (
            f"A user's own {prepared.form}: {sizes['train']} samples to train, {sizes['validation']} to validate "
            f"and {sizes['test']} to test on, {len(prepared.labels)} classes; {terms.epochs} epochs."
        ),
        "dt_s": task["dt_s"],
        "steps": task["steps"],
        "hidden": list(terms.hidden),
        "epochs": terms.epochs,
        "batch_size": terms.batch_size,
        "patience": None,
        "monitor": "validation_loss",
        "precision": "float32",
        "data_order": "seed_epoch",
        "seeds": list(range(max(Terms.seeds, terms.seeds))),
        "fixed": {"dataset": name.removesuffix("_v1"), "encoder": task["encoder"], "network": "mlp"},
        "free": list(FREE),
        "superseded_by": None,
    }
    if commonest > even:
        tree["meta"] = {"guess_accuracy": commonest}  # of always predicting the commonest class
    return tree


def _experiment_tree(name: str, prepared: Prepared, task: dict[str, Any]) -> dict[str, Any]:
    """Return the YAML of the experiment; time constants follow the duration of a step if it is not 1 ms."""
    tree: dict[str, Any] = {
        "defaults": [
            {"override /protocol": f"{name}_v1"},
            {"override /dataset": name},
            {"override /encoder": task["encoder"]},
            {"override /network": "mlp"},
        ]
    }
    tau_s = round(TIME_CONSTANT_STEPS * prepared.dt_s, 9)
    if tau_s != TIME_CONSTANT_STEPS * 1e-3:
        decay = f"${{decay:{tau_s:g},${{protocol.dt_s}}}}"
        tree |= {"neuron": {"beta": decay}, "readout": {"beta": decay}}
    tree["meta"] = {"line": f"A user's own {prepared.form}."}
    return tree


def entry_lines(entry: WrittenEntry) -> Sequence[str]:
    return [*entry.notes, f"entries: {entry.conf}", f"samples: {entry.data}"]
