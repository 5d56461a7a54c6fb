"""ASL-DVS: hand signs of letters before an event camera."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from sgbench.datasets.base import Split, divide_classes
from sgbench.datasets.event_files import EventFiles, FileToFetch, below, camera_recordings
from sgbench.datasets.formats.event_bin import Pixels
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

LETTERS = "abcdefghiklmnopqrstuvwxy"  # j and z are movements
EACH = 4200  # recordings of a letter
HEIGHT, WIDTH = 180, 240
COLUMNS = ("ts", "x", "y", "pol")
MOST_BYTES = 1 << 28  # of a file
MOST_EVENTS = 1 << 26  # of a file


class AslDvs(EventFiles, entry="asl_dvs"):
    """Loads 24 letters signed by five people, 4200 recordings of 0.1 s each, 240x180 pixels.

    There is no official split, and file names do not say who signs. Validation and test are a tenth of each letter,
    chosen by the hash of the file names. They hold people of the training set, so scores say nothing about others.

    Source: Bi, Chadha, Abbas, Bourtsoulatze & Andreopoulos 2019, IEEE International Conference on Computer Vision.
    """

    image: tuple[int, int, int] | None = (2, HEIGHT, WIDTH)
    n_inputs: int = 2 * HEIGHT * WIDTH
    source: str = "github.com/PIX2NVS/NVS2Graph"
    name: ClassVar[str] = "asl_dvs"
    folder: ClassVar[str] = "ASLDVS"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            "https://www.dropbox.com/sh/ibq0jsicatn7l6r/AACNrNELV56rs1YInMWUs9CAa?dl=1",
            "ASLDVS.zip",
            "33f8b87bf45edc0bfed0de41822279b9",
            100_000_000_000,
        ),
    )
    by_hand: ClassVar[str] = (
        "or fetch the archive of github.com/PIX2NVS/NVS2Graph with a browser and unpack it, and what is in it, in "
        "the folder ASLDVS of the data root, one folder a letter"
    )
    per_letter: ClassVar[int] = EACH

    def originals(self, root: Path) -> list[str]:
        files: list[str] = []
        for letter in LETTERS:
            files += [f"{letter}/{name}" for name in below(root / letter, "*.mat", self.remedy, least=self.per_letter)]
        return files

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Assign each letter's recordings to splits by the hash of their names."""
        classes: dict[str, list[str]] = {letter: [] for letter in LETTERS}
        for name in self.originals(root):
            classes[name[0]].append(name)
        labelled: dict[Split, list[tuple[str, int]]] = {
            split: [(name, LETTERS.index(name[0])) for name in names]
            for split, names in divide_classes(classes, (1, 1)).items()
        }
        image = (2, HEIGHT, WIDTH)
        return {split: camera_recordings(root, files, read_mat, image) for split, files in labelled.items()}


def read_mat(path: Path) -> Pixels:
    """Read the events of a MATLAB file with the columns `ts`, `x`, `y` and `pol`.

    The file counts rows from the bottom of the picture, the result from the top. The first event gets time 0.
    """
    from scipy.io import loadmat, whosmat

    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: larger than any recording of its kind")
        headers = {name: (shape, kind) for name, shape, kind in whosmat(path)}
        for name in COLUMNS:
            shape, kind = headers.get(name, ((0, 0), "nothing"))
            if not kind.startswith(("int", "uint", "double", "single", "logical")) or 1 not in shape:
                raise InputError(f"{path}: {name} is {kind} of shape {shape}, not a column of numbers")
            if max(shape) > MOST_EVENTS:
                raise InputError(f"{path}: {name} declares {max(shape)} events, more than any recording has")
        variables = loadmat(path, variable_names=COLUMNS)
        columns = [np.asarray(variables[name]).reshape(-1) for name in COLUMNS]
    except InputError:
        raise
    except Exception as error:  # the reader has no error of its own for a damaged file
        raise InputError(f"{path}: not a whole MATLAB file ({type(error).__name__}: {error})") from error
    if len({len(column) for column in columns}) != 1:
        raise InputError(f"{path}: columns of {', '.join(str(len(column)) for column in columns)} events")
    if not all(np.isfinite(column).all() for column in columns):
        raise InputError(f"{path}: an event that is not finite")
    time_us, x, y, polarity = (column.astype(np.int64) for column in columns)
    first_us = time_us.min() if len(time_us) else 0
    return Pixels(x, HEIGHT - 1 - y, polarity, time_us - first_us)
