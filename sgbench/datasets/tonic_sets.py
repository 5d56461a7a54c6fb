"""Data sets of the library tonic, by their names there; tonic is imported only when one is chosen."""

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.base import Split, stratified_split
from sgbench.datasets.event_files import EventFiles, below
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError, require_choice, require_count, suggest

LICENCE = "tonic is GPL-3.0-only, unlike sgbench: who passes both on together follows the GPL for the whole"
MISSING = f"tonic is not installed: pip install 'sgbench[tonic]' ({LICENCE})"
FOLDER = "tonic"  # relative to the root of all data files; each data set has a folder of its name in it
FIFTHS = (0.6, 0.2, 0.2)  # shares of train, validation and test where tonic has one part
FILE_SPLITS: dict[str, Split] = {"train": "train", "valid": "validation", "test": "test"}  # tonic's names to ours


class SensorFacts(NamedTuple):
    """Holds the facts of a data set that are needed before its files are read."""

    sensor_size: tuple[int, int, int]  # width, height, polarities
    classes: int


UNSTATED = {
    "SHD": SensorFacts((700, 1, 1), 20),
    "SSC": SensorFacts((700, 1, 1), 35),
    "NCALTECH101": SensorFacts((240, 180, 2), 101),
    "SMNIST": SensorFacts((99, 1, 1), 10),
}
"""Facts that tonic does not state, or only after reading files."""


TRANSFORMS = (
    *("CenterCrop", "CropTime", "Decimation", "Denoise", "Downsample", "EventDownsampling", "MergePolarities"),
    *("RefractoryPeriod", "TimeAlignment"),
)
"""Transforms of tonic that turn events into events and draw nothing at random."""


def transform_of(text: str, sensor_size: tuple[int, int, int]) -> Callable[[Any], Any]:
    """Make a transform of tonic from a call as text, whose arguments are plain values given by name.

    `text`: e.g. "Denoise(filter_time=10000)". `sensor_size`: width, height and polarities, for transforms that take it.
    """
    try:
        call = ast.parse(str(text), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError("a call with arguments by name is needed")
        arguments = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    except (ValueError, SyntaxError) as error:
        raise InputError(
            f"dataset.transforms: {text!r}: e.g. Denoise(filter_time=10000) is needed ({error})"
        ) from error
    if call.func.id not in TRANSFORMS:
        raise InputError(
            f"dataset.transforms: {suggest(call.func.id, TRANSFORMS)}; what is random is done anew in each epoch "
            f"by augmentation=events"
        )
    try:
        made = getattr(importlib.import_module("tonic.transforms"), call.func.id)
        takes_size = "sensor_size" in inspect.signature(made).parameters
        return cast("Callable[[Any], Any]", made(**({"sensor_size": sensor_size} if takes_size else {}), **arguments))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"dataset.transforms: {text}: {' '.join(str(error).split())}") from error


def parts_of_tonic(name: str, save_to: Path) -> dict[Split, Any]:
    """Open a data set of tonic; tonic downloads it if its files are missing.

    `name`: of the class in `tonic.datasets`, e.g. "SHD" or "NMNIST". `save_to`: folder of the files.

    Returns:
        Maps each split that tonic has to tonic's data set; {"train": all samples} if it has no splits.
    """
    return _parts_of(_class_of(name), name, save_to)


def _parts_of(made: Callable[..., Any], name: str, save_to: Path, **given: object) -> dict[Split, Any]:
    """Open each part that a data set of tonic has; its signature tells whether it is divided."""
    parameters = inspect.signature(made).parameters
    options: dict[Split, dict[str, Any]] = {"train": {}}
    if "train" in parameters:
        options = {"train": {"train": True}, "test": {"train": False}}
    elif "split" in parameters:
        options = {split: {"split": tonic_name} for tonic_name, split in FILE_SPLITS.items()}
    try:
        return {split: made(save_to=str(save_to), **chosen, **given) for split, chosen in options.items()}
    except Exception as error:  # of the network, of files, or tonic's own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"tonic's {name} cannot be opened below {save_to}: {reason}") from error


def _class_of(name: str) -> Callable[..., Any]:
    """Return tonic's class of this name; InputError if tonic or the class is missing."""
    try:
        known = vars(importlib.import_module("tonic.datasets"))
    except ImportError as error:
        raise InputError(MISSING) from error
    classes: dict[str, Callable[..., Any]] = {
        key: member for key, member in known.items() if inspect.isclass(member) and hasattr(member, "sensor_size")
    }
    if name not in classes:
        raise InputError(f"tonic has no data set '{name}'; {suggest(name, classes)}")
    return classes[name]


def facts_of(name: str, classes: int | None = None) -> SensorFacts:
    """Look up sensor size and number of classes, or take `classes`, in `UNSTATED` or else in tonic."""
    if name in UNSTATED:
        facts = UNSTATED[name]
        return facts if classes is None else SensorFacts(facts.sensor_size, classes)
    tonic_class: Any = _class_of(name)
    class_names = getattr(tonic_class, "classes", None)
    count = len(class_names) if classes is None and class_names is not None else classes
    if count is None or tonic_class.sensor_size is None:
        raise InputError(f"tonic's {name} states no classes; set dataset.classes to how many there are")
    return SensorFacts(tonic_class.sensor_size, count)


class Tonic(EventFiles, entry="tonic"):
    r"""Reads any data set of tonic that has a class for each sample; tonic downloads it at the first use.

    Test and validation are tonic's if it has them; else each is a fifth of each class, drawn with a fixed seed. An
    event of polarity p at pixel (x, y) of a W x H sensor is in channel :math:`(p H + y) W + x`. Times of a camera
    count from a sample's first event, those of a cochlea from the sample's start.

    Tonic is GPL-3.0-only, unlike sgbench. It is imported only when this data set is chosen.

    Args:
        name: of the class in `tonic.datasets`, e.g. "SHD", "NMNIST" or "DVSGesture".
        classes: number of classes, if tonic does not state it; else None.
        transforms: of tonic, in their order, e.g. ["Denoise(filter_time=10000)"]; None for none. They run once, when
            the files are prepared, so a later run only reads the result.

    Raises:
        InputError: tonic is not installed, or has no such data set or transform; one line.

    Source: Lenz et al. 2021, tonic (doi:10.5281/zenodo.5079802).

    >>> Tonic(name="SHD", classes=None).n_inputs
    700
    """

    every_class_in_each_split = False
    source: str = "tonic.readthedocs.io"
    name: ClassVar[str] = "tonic"
    folder: ClassVar[str] = FOLDER

    def __init__(self, *, name: str, classes: int | None, transforms: Sequence[str] | None = None) -> None:
        super().__init__()
        if classes is not None:
            require_count("dataset.classes", classes, low=2)
        self.chosen = str(name)
        size, self.n_classes = facts_of(self.chosen, classes)
        self._sense(size, transforms)

    def _sense(self, size: tuple[int, int, int], transforms: Sequence[str] | None) -> None:
        """Take on the sensor's size and the transforms."""
        width, height, polarities = size
        self.n_inputs = width * height * polarities
        self.image = (polarities, height, width) if height > 1 else None
        self.transform_calls = [*(transforms or ())]
        self.transforms = [transform_of(text, size) for text in self.transform_calls]

    def parameters(self) -> dict[str, object]:
        values: dict[str, object] = {"name": self.chosen, "classes": self.n_classes}
        return values | {"transforms": self.transform_calls} if self.transform_calls else values

    def missing(self, data_dir: Path) -> str | None:
        return MISSING if importlib.util.find_spec("tonic") is None else super().missing(data_dir)

    @property
    def remedy(self) -> str:
        return f"run: sgbench data check tonic, which lets tonic fetch {self.chosen}"

    def load(self, data_dir: Path) -> Any:
        """Load all splits; tonic first downloads files that are missing."""
        if self.missing(data_dir) is not None:
            self._parts(data_dir / FOLDER)  # only so that tonic downloads the files
        return super().load(data_dir)

    def originals(self, root: Path) -> list[str]:
        return below(root, f"{self.chosen}/**/*", self.remedy)

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Map each split to its samples; a split that tonic lacks is a fifth of each class of its training set."""
        parts = self._parts(root)
        labels = {split: self._labels(part) for split, part in parts.items()}
        train_labels = labels["train"]
        positions = cast("dict[Split, NDArray[Any]]", {split: np.arange(len(part)) for split, part in labels.items()})
        if "test" not in parts:
            positions["train"], positions["validation"], positions["test"] = stratified_split(
                train_labels, FIFTHS, seed=0
            )
        elif "validation" not in parts:
            train, *others = stratified_split(train_labels, (1 - FIFTHS[1], FIFTHS[1], 0), seed=0)
            positions["train"], positions["validation"] = train, np.sort(np.concatenate(others))
        return {
            split: self._read(parts.get(split, parts["train"]), labels.get(split, train_labels), chosen)
            for split, chosen in positions.items()
        }

    def _parts(self, root: Path) -> dict[Split, Any]:
        return parts_of_tonic(self.chosen, root)

    def _labels(self, part: Any) -> NDArray[np.int64]:
        """Return the class of each sample in a part of tonic's data: its number, or the index of its sorted name."""
        targets = getattr(part, "targets", None) or ()  # empty if tonic learns them only from the files
        labels = np.asarray(targets if len(targets) == len(part) else [part[k][1] for k in range(len(part))])
        if labels.ndim != 1:
            raise InputError(f"tonic's {self.chosen} has targets of shape {labels.shape}, one class a sample is needed")
        numbers = labels if labels.dtype.kind in "iu" else np.unique(labels, return_inverse=True)[1]
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self.n_classes:
            raise InputError(
                f"tonic's {self.chosen} has the classes {numbers.min()} to {numbers.max()}; set dataset.classes="
                f"{int(numbers.max()) + 1}"
            )
        return numbers.astype(np.int64)

    def _read(self, part: Any, labels: NDArray[np.int64], positions: NDArray[Any]) -> Iterator[Recording]:
        """Yield the recordings at these positions, after the user's transforms; a camera's times begin at 0."""
        for position in positions.tolist():
            name = f"tonic's {self.chosen}, sample {position}"
            try:
                events = functools.reduce(lambda done, transform: transform(done), self.transforms, part[position][0])
            except (AssertionError, LookupError, TypeError, ValueError) as error:
                reason = " ".join(f"{type(error).__name__} {error}".split())
                raise InputError(f"{name}: dataset.transforms={self.transform_calls}: {reason}") from error
            time_us, channel = channels_of(events, self._sensor(), name)
            first_us = int(time_us.min()) if self.image is not None and len(time_us) else 0
            yield Recording(channel, time_us - first_us, int(labels[position]), name=name)

    def _sensor(self) -> tuple[int, int, int]:
        polarities, height, width = self.image or (1, 1, self.n_inputs)
        return width, height, polarities


CACHES = {"memory": "MemoryCachedDataset", "disk": "DiskCachedDataset"}  # of tonic, by the word in a file


class OwnTonic(Tonic):
    """Reads a `tonic.Dataset` of the user's own, which an entry names by `_target_`; its files lie in tonic/NAME.

    Args:
        made: the class, with `sensor_size`.
        classes: number of classes; None for those that the class states.
        transforms: as of `Tonic`.
        cache: "memory" or "disk" for tonic's cache of what the class reads, before the transforms; None for none.
        options: further arguments of the class.
    """

    made_here = True  # so that a checksum is of the samples, whatever the class reads

    def __init__(
        self, made: Any, *, classes: int | None = None, transforms: Any = None, cache: str | None = None, **options: Any
    ) -> None:
        EventFiles.__init__(self)
        count = len(getattr(made, "classes", None) or ()) if classes is None else classes
        if made.sensor_size is None or not count:
            raise InputError(f"dataset: {made.__name__} states no sensor_size or classes; give it both, or set classes")
        self.made, self.chosen, self.options = made, made.__name__, options
        self.n_classes = require_count("dataset.classes", count, low=2)
        self.cache = cache and require_choice("dataset.cache", cache, tuple(CACHES))
        self._sense(tuple(made.sensor_size), transforms)

    def parameters(self) -> dict[str, object]:
        """Return what `Tonic` does, with the class's arguments and its text, so that an edited class is read anew."""
        return super().parameters() | {"options": self.options, "text": inspect.getsource(self.made)}

    @property
    def remedy(self) -> str:
        return f"put the files that {self.chosen} reads there"

    def _parts(self, root: Path) -> dict[Split, Any]:
        """Open the user's data set, cached in a folder that its files, options and code name."""
        parts = _parts_of(self.made, self.chosen, root, **self.options)
        if self.cache is None:
            return parts
        wrap = getattr(importlib.import_module("tonic"), CACHES[self.cache])
        identity = repr((self.checksum_of_originals(root), self.options, inspect.getsource(self.made)))
        folder = root / "cached" / self.chosen / hashlib.sha256(identity.encode()).hexdigest()[:16]
        paths = {split: {"cache_path": str(folder / split)} if self.cache == "disk" else {} for split in parts}
        return {split: wrap(part, **paths[split]) for split, part in parts.items()}


TIME_NAMES = ("t", "time", "times", "ts")


def channels_of(events: Any, size: tuple[int, int, int], name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Convert tonic's structured events to times [us] and channels (p H + y) W + x, both [events].

    `events`: structured array with the fields t (or time, times, ts) and x, and perhaps y and p. `size`: width W,
    height H and number of polarities of the sensor, with p 0 for one. `name`: of the sample, for the error.

    >>> pixel = np.array([(3, 2, 500, True)], [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")])
    >>> [column.tolist() for column in channels_of(pixel, (4, 3, 2), "an example")]
    [[500], [23]]
    """
    names = getattr(getattr(events, "dtype", None), "names", None) or ()
    time = next((events[name] for name in TIME_NAMES if name in names), None)
    if time is None or "x" not in names:
        raise InputError(f"{name}: events have the fields {', '.join(names) or 'none'}; t and x are needed")
    width, height, polarities = (int(length) for length in size)
    row = events["y"].astype(np.int64) if "y" in names else 0
    polarity = events["p"].astype(np.int64) if "p" in names and polarities > 1 else 0
    column = events["x"].astype(np.int64)
    return np.asarray(time).astype(np.int64), (polarity * height + row) * width + column
