"""A part of Fashion-MNIST that trains in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.datasets.idx_images import TRAIN


class FashionMnistSmall(FashionMnist, entry="fashion_mnist_small"):
    """Loads 3500 pictures of Fashion-MNIST's training images: 2000 to train, 500 to validate, 1000 to test.

    They are the first of each class in the order of the file, as many of each; the published test images stay
    unseen.

    Source: Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
    """

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the first images of each class for all splits, pixels as bytes."""
        images, labels = self._pair(TRAIN, data_dir)
        ordered = [np.flatnonzero(labels == label) for label in range(self.n_classes)]
        splits: dict[Split, Samples] = {}
        first = 0
        for name in SPLITS:
            per_class = self.sizes[name] // self.n_classes
            chosen = np.stack(
                [positions[first : first + per_class] for positions in ordered], axis=1
            ).reshape(-1)
            splits[name] = Samples(
                torch.from_numpy(images[chosen].reshape(len(chosen), -1).copy()),
                torch.from_numpy(labels[chosen].astype(np.int64)),
                None,
            )
            first += per_class
        return splits

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Compare the samples themselves with the published ones, since the files hold more than is taken."""
        return DataSet.verify(self, splits)
