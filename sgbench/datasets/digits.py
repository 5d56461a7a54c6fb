"""Handwritten digits, bundled with scikit-learn."""

import importlib.util
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split, stratified_split

FILE = Path("datasets", "data", "digits.csv.gz")
"""Path below scikit-learn's folder; reading the file takes a twentieth of the time of importing the package."""


class Digits(DataSet, entry="digits"):
    """Loads 1797 real 8x8 images of handwritten digits; stratified split 60/20/20.

    The task is easy: a linear classifier reaches about 95 %, so differences between high accuracies mean little.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository
    (its test part), as bundled with scikit-learn.
    """

    n_inputs: int = 64
    source: str = "scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits)"
    split_seed: ClassVar[int] = 20190128

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the images of all splits, pixel values divided by their maximum 16; `data_dir` is not used."""
        table = _table()
        images, target = table[:, :-1], table[:, -1]
        parts = stratified_split(np.asarray(target), (0.6, 0.2, 0.2), self.split_seed)
        splits: dict[Split, Samples] = {}
        for name, chosen in zip(SPLITS, parts, strict=True):
            values = torch.from_numpy(np.ascontiguousarray(images[chosen] / 16.0))
            splits[name] = Samples(values, torch.from_numpy(target[chosen].astype(np.int64)), None)
        return splits


def _table() -> np.ndarray:
    """Read 64 pixels and the class of each digit [1797, 65] from scikit-learn's file, else by its function."""
    package = importlib.util.find_spec("sklearn")
    path = Path(package.origin or "").parent / FILE if package else FILE
    if path.is_file():
        return np.loadtxt(path, delimiter=",")  # as load_digits does
    from sklearn.datasets import load_digits

    images, target = load_digits(return_X_y=True)
    return np.column_stack([images, target])
