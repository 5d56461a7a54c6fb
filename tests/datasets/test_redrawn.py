"""Data that every seed draws for itself: other samples, or the same in other splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from fastspiking.signals.spikes import SpikeTrains, concatenated
from fastspiking.signals.trajectory import Target
from sgbench.composition.compose import compose
from sgbench.datasets.base import SPLITS, DataSet, Samples, Split, fingerprint
from sgbench.datasets.checks import check
from sgbench.datasets.redrawn import draw
from sgbench.errors import InputError
from sgbench.records.method import method_id
from sgbench.training.build import build
from tests.entries import made


def test_splits_are_drawn_anew_and_hold_the_same_samples() -> None:
    """Against numpy's sorting: the same multiset of images, the same sizes, classes in proportion to one sample."""
    digits = made("dataset", "digits")
    fixed, drawn = digits.load(Path()), draw(digits, 7).load(Path())
    whole = [torch.cat([splits[name].values for name in SPLITS]).numpy() for splits in (fixed, drawn)]
    ordered = [images[np.lexsort(images.T)] for images in whole]
    assert (ordered[0] == ordered[1]).all()
    for name in SPLITS:
        assert len(drawn[name].target) == len(fixed[name].target)
        share = torch.bincount(drawn[name].target) / len(drawn[name].target)
        everywhere = torch.bincount(torch.cat([drawn[each].target for each in SPLITS])) / 1797
        assert ((share - everywhere).abs() * len(drawn[name].target)).max() <= 1
    assert fingerprint(drawn) == fingerprint(draw(digits, 7).load(Path()))
    assert fingerprint(drawn) != fingerprint(draw(digits, 8).load(Path()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["randman_small", "yin_yang", "delayed_xor"])
def test_generated_data_are_new_samples(name: str) -> None:
    """The same seed gives the same bytes, another one others, and neither the published."""
    data_set = made("dataset", name)
    hashes = [fingerprint(draw(data_set, seed).load(Path())) for seed in (200, 200, 201)]
    assert hashes[0] == hashes[1]
    assert len({*hashes, data_set.sha256}) == 3
    assert fingerprint(data_set.load(Path())) == data_set.sha256


def test_spike_trains_keep_their_samples() -> None:
    """Every sample of the pooled trains is one of the originals, spike by spike."""
    random = np.random.default_rng(0)
    sample = random.integers(0, 6, 40)
    trains = SpikeTrains.of(sample, random.integers(0, 3, 40), random.integers(0, 1000, 40), [1000] * 6, 3)
    halves = [trains[torch.arange(0, 2)], trains[torch.arange(2, 6)]]
    joined = concatenated(halves)
    for name in ("indptr", "channel", "time_us", "duration_us"):
        assert torch.equal(getattr(joined, name), getattr(trains, name))


@pytest.mark.slow
def test_one_method_many_data_hashes() -> None:
    """The word is part of a method, its seed is not: one id, and data that differ by seed."""
    words = ["experiment=yin_yang_v2", "dataset.samples=[30,10,10]"]
    specs = [compose([*words, f"seed={seed}"]) for seed in (200, 201)]
    fixed = compose([*words, "protocol.draw=null"])
    assert method_id(specs[0].method) == method_id(specs[1].method) != method_id(fixed.method)
    hashes = set()
    for spec in (*specs, fixed):
        data = build(spec).data
        data.setup()
        hashes.add(data.sha256)
    assert len(hashes) == 3


class Found(DataSet):
    """Two samples of each of two classes in every split, which nobody knew before the files were read."""

    n_inputs = 1
    n_classes = 2
    source = licence = "none"
    sha256 = None

    def __init__(self) -> None:
        self.sizes: Mapping[Split, int] = dict.fromkeys(SPLITS, 0)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """The same numbers three times."""
        self.sizes = dict.fromkeys(SPLITS, 4)
        return {name: Samples(torch.linspace(0, 1, 4)[:, None], torch.tensor([0, 0, 1, 1]), None) for name in SPLITS}


def test_sizes_that_files_tell_are_known_after_loading() -> None:
    """Three splits of four samples pass the check of what a data set declares."""
    drawn = draw(Found(), 3)
    check(drawn, drawn.load(Path()))
    assert dict(drawn.sizes) == {"train": 4, "validation": 4, "test": 4}


class Curves(DataSet):
    """Not generated, and with a trace as target."""

    target: Target = "trace"

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Nothing."""
        return {}


def test_traces_are_not_split_anew() -> None:
    """There is no class to stratify by; the line has the remedy."""
    with pytest.raises(InputError, match=r"use protocol\.draw=null"):
        draw(Curves(), 1)
