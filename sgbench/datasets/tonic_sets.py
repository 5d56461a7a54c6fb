"""Data sets of tonic, by their names there; the one file that imports it, and only when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.base import Split, stratified_split
from sgbench.datasets.event_files import EventFiles, below
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError, require_count, suggest

LICENCE = "tonic is GPL-3.0-only, unlike sgbench: who passes both on together follows the GPL for the whole"
MISSING = f"tonic is not installed: pip install 'sgbench[tonic]' ({LICENCE})"
FOLDER = "tonic"
"""Below the data root; a data set's files lie in a folder of its name in it."""
FIFTHS = (0.6, 0.2, 0.2)
FILE_SPLITS: dict[str, Split] = {"train": "train", "valid": "validation", "test": "test"}


class SensorFacts(NamedTuple):
    """Holds what has to be known of a data set before its files are read."""

    sensor_size: tuple[int, int, int]  # width, height, polarities
    classes: int


UNSTATED = {
    "SHD": SensorFacts((700, 1, 1), 20),
    "SSC": SensorFacts((700, 1, 1), 35),
    "NCALTECH101": SensorFacts((240, 180, 2), 101),
    "SMNIST": SensorFacts((99, 1, 1), 10),
}
"""Facts that tonic knows only once files are read, or not at all."""


def parts_of_tonic(name: str, save_to: Path) -> dict[Split, Any]:
    """Open a data set of tonic, which it fetches where it is not there.

    Args:
        name: of the class, e.g. "SHD" or "NMNIST".
        save_to: folder of the files.

    Returns:
        The parts that tonic divides it into; all of it as "train" where it does not.

    Raises:
        InputError: tonic is not installed, has no such data set, or cannot fetch it; one line.
    """
    tonic_class = _class_of(name)
    asked = inspect.signature(tonic_class).parameters
    options: dict[Split, dict[str, Any]] = {"train": {}}
    if "train" in asked:
        options = {"train": {"train": True}, "test": {"train": False}}
    elif "split" in asked:
        options = {split: {"split": given} for given, split in FILE_SPLITS.items()}
    try:
        return {split: tonic_class(save_to=str(save_to), **own) for split, own in options.items()}
    except Exception as error:  # of the network, of files, of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"tonic's {name} cannot be opened below {save_to}: {reason}") from error


def _class_of(name: str) -> Callable[..., Any]:
    """Look up a class of tonic's data sets by its name.

    Raises:
        InputError: tonic is not installed, or has no such data set.
    """
    try:
        known = vars(importlib.import_module("tonic.datasets"))
    except ImportError as error:
        raise InputError(MISSING) from error
    classes: dict[str, Callable[..., Any]] = {
        key: member
        for key, member in known.items()
        if inspect.isclass(member) and hasattr(member, "sensor_size")
    }
    if name not in classes:
        raise InputError(f"tonic has no data set '{name}'; {suggest(name, classes)}")
    return classes[name]


def facts_of(name: str, classes: int | None = None) -> SensorFacts:
    """Look up the facts of a data set by its name; tonic is imported where they are not known without it.

    Raises:
        InputError: tonic is not installed, has no such data set, or does not state how many classes it has.
    """
    if name in UNSTATED:
        facts = UNSTATED[name]
        return facts if classes is None else SensorFacts(facts.sensor_size, classes)
    tonic_class: Any = _class_of(name)
    named = getattr(tonic_class, "classes", None)
    count = len(named) if classes is None and named is not None else classes
    if count is None or tonic_class.sensor_size is None:
        raise InputError(f"tonic's {name} states no classes; set dataset.classes to how many there are")
    return SensorFacts(tonic_class.sensor_size, count)


class Tonic(EventFiles, entry="tonic"):
    r"""Reads any data set of tonic with a class a sample through tonic itself, which fetches it at the first use.

    The test part is tonic's where it has one; otherwise, as with validation, a fifth of each class, by a fixed
    seed. Channel :math:`(p H + y) W + x`. Times of a camera count from a sample's first event, those of a cochlea
    from its start.

    Tonic is GPL-3.0-only, unlike sgbench. It is imported only when this data set is chosen.

    Args:
        name: of the class in `tonic.datasets`, e.g. "SHD", "NMNIST" or "DVSGesture".
        classes: how many there are, where tonic does not state it; otherwise None.

    Raises:
        InputError: tonic is not installed or has no such data set; one line.

    Source: Lenz et al. 2021, tonic (doi:10.5281/zenodo.5079802).

    >>> Tonic(name="SHD", classes=None).n_inputs
    700
    """

    every_class_in_each_split = False
    source: str = "tonic.readthedocs.io"
    name: ClassVar[str] = "tonic"
    folder: ClassVar[str] = FOLDER

    def __init__(self, *, name: str, classes: int | None) -> None:
        super().__init__()
        if classes is not None:
            require_count("dataset.classes", classes, low=2)
        self.chosen = str(name)
        (width, height, polarities), self.n_classes = facts_of(self.chosen, classes)
        self.n_inputs = width * height * polarities
        self.image = (polarities, height, width) if height > 1 else None

    def parameters(self) -> dict[str, object]:
        """Return the data set's name and its number of classes."""
        return {"name": self.chosen, "classes": self.n_classes}

    def missing(self, data_dir: Path) -> str | None:
        """Name the package, or the files that it fetches, where they are missing."""
        return MISSING if importlib.util.find_spec("tonic") is None else super().missing(data_dir)

    @property
    def remedy(self) -> str:
        """Explain how to let tonic fetch the files."""
        return f"run: sgbench data check tonic, which lets tonic fetch {self.chosen}"

    def load(self, data_dir: Path) -> Any:
        """Load all splits; tonic fetches what is not there.

        Raises:
            InputError: tonic is not installed, or cannot fetch or read the files.
        """
        if self.missing(data_dir) is not None:
            parts_of_tonic(self.chosen, data_dir / FOLDER)
        return super().load(data_dir)

    def originals(self, root: Path) -> list[str]:
        """List all files in the folder that tonic keeps them in."""
        return below(root, f"{self.chosen}/**/*", self.remedy)

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Read tonic's own parts; a part that it does not have is a fifth of each class of training."""
        parts = parts_of_tonic(self.chosen, root)
        labels = {split: self._labels(part) for split, part in parts.items()}
        whole = labels["train"]
        positions = cast(
            "dict[Split, NDArray[Any]]", {split: np.arange(len(own)) for split, own in labels.items()}
        )
        if "test" not in parts:
            positions["train"], positions["validation"], positions["test"] = stratified_split(
                whole, FIFTHS, seed=0
            )
        elif "validation" not in parts:
            held = stratified_split(whole, (1 - FIFTHS[1], FIFTHS[1], 0), seed=0)
            positions["train"], positions["validation"] = held[0], np.sort(np.concatenate(held[1:]))
        return {
            split: self._read(parts.get(split, parts["train"]), labels.get(split, whole), own)
            for split, own in positions.items()
        }

    def _labels(self, part: Any) -> NDArray[np.int64]:
        """Return the class of each sample: tonic's number, or the index of its name among all, sorted."""
        given = (
            getattr(part, "targets", None) or ()
        )  # those that know them only from their files have an empty list
        labels = np.asarray(given if len(given) == len(part) else [part[k][1] for k in range(len(part))])
        if labels.ndim != 1:
            raise InputError(
                f"tonic's {self.chosen} has targets of shape {labels.shape}, one class a sample is needed"
            )
        numbers = labels if labels.dtype.kind in "iu" else np.unique(labels, return_inverse=True)[1]
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self.n_classes:
            raise InputError(
                f"tonic's {self.chosen} has the classes {numbers.min()} to {numbers.max()}; set dataset.classes="
                f"{int(numbers.max()) + 1}"
            )
        return numbers.astype(np.int64)

    def _read(self, part: Any, labels: NDArray[np.int64], positions: NDArray[Any]) -> Iterator[Recording]:
        for position in positions.tolist():
            events = part[position][0]
            called = f"tonic's {self.chosen}, sample {position}"
            time_us, channel = channels_of(events, self._sensor(), called)
            first_us = int(time_us.min()) if self.image is not None and len(time_us) else 0
            yield Recording(channel, time_us - first_us, int(labels[position]), name=called)

    def _sensor(self) -> tuple[int, int, int]:
        """Return width, height and polarities, in tonic's order."""
        polarities, height, width = self.image or (1, 1, self.n_inputs)
        return width, height, polarities


TIME_NAMES = ("t", "time", "times", "ts")


def channels_of(
    events: Any, size: tuple[int, int, int], called: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Convert tonic's structured events to times [us] and channels; a pixel's is (polarity, row, column).

    Args:
        events: an array with the fields t and x, and y and p where there are any.
        size: width, height and polarities of the sensor.
        called: where they come from, for messages.

    Raises:
        InputError: a field is missing; one line.

    >>> pixel = np.array([(3, 2, 500, True)], [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")])
    >>> [column.tolist() for column in channels_of(pixel, (4, 3, 2), "an example")]
    [[500], [23]]
    """
    names = getattr(getattr(events, "dtype", None), "names", None) or ()
    time = next((events[name] for name in TIME_NAMES if name in names), None)
    if time is None or "x" not in names:
        raise InputError(f"{called}: events have the fields {', '.join(names) or 'none'}; t and x are needed")
    width, height, polarities = (int(length) for length in size)
    row = events["y"].astype(np.int64) if "y" in names else 0
    polarity = events["p"].astype(np.int64) if "p" in names and polarities > 1 else 0
    column = events["x"].astype(np.int64)
    return np.asarray(time).astype(np.int64), (polarity * height + row) * width + column
