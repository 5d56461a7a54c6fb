"""A part of Fashion-MNIST that trains in seconds."""

from pathlib import Path

import numpy as np

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.datasets.idx_images import TRAIN, to_samples


class FashionMnistSmall(FashionMnist, entry="fashion_mnist_small"):
    """Loads 3500 of Fashion-MNIST's training images: 2000 for training, 500 for validation, 1000 for the test.

    They are the first images of each class in the order of the file, equally many of each. The published test
    images are not used.

    Source: Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
    """

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the first images of each class for all splits, pixels as uint8 [samples, 784], classes in turn."""
        images, labels = self._pair(TRAIN, data_dir)
        of_class = [np.flatnonzero(labels == label) for label in range(self.n_classes)]
        splits: dict[Split, Samples] = {}
        first = 0
        for name in SPLITS:
            per_class = self.sizes[name] // self.n_classes
            chosen = np.stack([positions[first : first + per_class] for positions in of_class], axis=1).reshape(-1)
            splits[name] = to_samples(images[chosen], labels[chosen])
            first += per_class
        return splits

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Hash the samples, as the files hold more images; raise InputError if they are not the published ones."""
        return DataSet.verify(self, splits)
