"""Randman against its formula, and Yin-Yang against the published samples.

Legend: S samples, N channels.
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import sgbench
from sgbench.datasets.base import SPLITS, fingerprint
from sgbench.datasets.yin_yang import YinYang, label_of
from tests.datasets.generators import NOWHERE, counts, load, small, times_by_channel

PUBLISHED = Path(os.environ.get("SGBENCH_DATA", "no-such-folder")) / "yin_yang"

# --- Randman


def reference_manifold(x: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, spectrum: str) -> float:
    """f(x) of one channel, term by term as the paper, or the released code, writes it; alpha = 2, one dimension."""
    total = 0.0
    if spectrum == "printed":
        for k in range(1, 1001):
            total += k**-2.0 * a[k - 1] * math.sin(2 * math.pi * (k * x * b[k - 1] + c[k - 1]))
        return total
    terms = min(math.ceil(1e-3**-0.5), 1000)
    for i in range(terms):
        amplitude = 0.0 if i == 0 else a[i]
        total += amplitude / ((i + 1) ** 2.0 + 1) * math.sin(2 * math.pi * (i * x * b[i] + c[i]))
    return total


@pytest.mark.parametrize("spectrum", ["printed", "released"])
def test_randman_equals_its_formula(spectrum):
    """Expected: the formula in plain Python on the same random numbers, stretched and floored to microseconds."""
    task = small("randman", alpha=2.0, spectrum=spectrum)
    terms = 1000 if spectrum == "printed" else 32
    random = task.random(0)
    a, b, c = np.moveaxis(random.random((3, 1, 3, terms)), 2, 0)
    x = random.random((12, 1))[:, 0]
    f = np.array([[reference_manifold(each, a[i, 0], b[i, 0], c[i, 0], spectrum) for i in range(3)] for each in x])
    stretched = (f - f.min(0)) / (f.max(0) - f.min(0) + 1e-7)
    expected = sorted(map(tuple, np.floor(stretched * 50_000).astype(int).tolist()))
    splits = task.load(NOWHERE)
    found = [times_by_channel(part.values)[part.target == 0].tolist() for part in splits.values()]
    assert sorted(tuple(times) for each in found for times in each) == expected


@pytest.mark.slow
def test_randman_spectra_differ_as_declared():
    """Must differ: the two spectra on one seed. Counts say nothing: one spike a channel in every sample."""
    printed, released = load("randman"), load("randman_released")
    assert not torch.equal(printed["train"].values.time_us, released["train"].values.time_us)
    for part in (*printed.values(), *released.values()):
        assert (counts(part.values, 0, 101) == 1).all()
        assert part.values.time_us.max() < 50_000
    assert sgbench.create("dataset/randman").spectrum == "printed"
    assert sgbench.create("dataset/randman_released").spectrum == "released"


def test_manifolds_are_the_smoother_the_larger_alpha():
    """Expected: mathematics; neighbours in x are neighbours in f, the more so the larger alpha."""
    roughness = []
    for alpha in (1.0, 2.0, 3.0):
        task = small("randman", alpha=alpha, samples=[60, 20, 20])
        points = task._unit_points(task.random(0), 100)
        random = task.random(0)
        random.random((3, 1, 3, len(task._terms()[0])))
        order = np.argsort(random.random((100, 1))[:, 0])
        roughness.append(np.abs(np.diff(points[order], axis=0)).mean())
    assert roughness[0] > 2 * roughness[1] > 2 * roughness[2]


# --- Yin-Yang


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published samples are not in $SGBENCH_DATA/yin_yang")
@pytest.mark.parametrize("split", SPLITS)
def test_yin_yang_reproduces_the_published_samples(split):
    """Expected: the authors' files, bit for bit."""
    samples = load("yin_yang")[split]
    assert np.array_equal(samples.values.numpy(), np.load(PUBLISHED / f"{split}_samples.npy"))
    assert np.array_equal(samples.target.numpy(), np.load(PUBLISHED / f"{split}_labels.npy"))


def test_yin_yang_has_the_checksum_of_the_published_samples():
    """Expected: pinned; the SHA-256 of the authors' six files in the order of the fingerprint, taken from them.

    If it fails, the samples are no longer those of Kriener et al.
    """
    assert fingerprint(load("yin_yang")) == YinYang(samples=[5000, 1000, 1000], seeds=[42, 41, 40]).sha256


def test_yin_yang_labels_are_the_symbol():
    """Expected: its symmetry; a turn by half swaps the halves and keeps the dots. Points by hand in each region."""
    assert [label_of(0.75, 0.5), label_of(0.25, 0.5)] == [2, 2]  # the dots
    assert [label_of(0.5, 0.95), label_of(0.5, 0.05)] == [1, 0]  # top and bottom
    assert [label_of(0.25, 0.3), label_of(0.75, 0.7)] == [1, 0]  # the heads reach across the middle
    samples = load("yin_yang")["train"]
    for x, y, *_ in samples.values[:500].tolist():
        label = label_of(x, y)
        assert label_of(1 - x, 1 - y) == (2 if label == 2 else 1 - label)


def test_yin_yang_classes_are_equally_likely():
    """Expected: 5000 / 3 within 5 deviations; the mirrored values; inside the circle."""
    samples = load("yin_yang")["train"]
    assert (samples.target.bincount() - 5000 / 3).abs().max() < 5 * math.sqrt(5000 * 2 / 9)
    assert torch.equal(samples.values[:, 2:], 1 - samples.values[:, :2])
    assert ((samples.values[:, :2] - 0.5).square().sum(1) <= 0.25).all()
