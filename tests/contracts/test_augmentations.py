"""What every augmentation of the catalogue keeps: form, channels and lengths, drawn sample by sample from a seed.

Each entry with the values of its file, and with each of its numbers set to values that it takes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.signals.spikes import SpikeTrains
from sgbench.augmentations.base import Augmentation
from sgbench.composition import catalogue
from sgbench.encoders.base import Values
from sgbench.errors import InputError
from sgbench.training.build import construct
from tests.entries import spec_with

SAMPLES, CHANNELS, IMAGE = 4, 48, (2, 4, 6)
DURATIONS_US = [20_000, 15_000, 20_000, 1_000]
TRIED = (0.001, 0.5, 2, 30.0)


@functools.cache
def settings_of(name: str) -> list[dict[str, Any]]:
    """Return changes of single numbers that an entry takes, the first none."""
    spec = spec_with({"augmentation": name})
    target, values = spec.targets["augmentation"], spec.method.parameters["augmentation"]
    changes: list[dict[str, Any]] = [{}]
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        for tried in TRIED:
            try:
                construct("augmentation", target, {**values, key: tried})
            except InputError:
                continue
            changes.append({key: tried})
    return changes


every = pytest.mark.parametrize("name", catalogue.paths("augmentation"))


@functools.cache
def all_made(name: str) -> list[tuple[dict[str, Any], Augmentation]]:
    """Return an entry with each of its settings."""
    spec = spec_with({"augmentation": name})
    target, values = spec.targets["augmentation"], spec.method.parameters["augmentation"]
    settings = settings_of(name)
    return [(setting, construct("augmentation", target, {**values, **setting})) for setting in settings]


def cases(name: str) -> Iterator[tuple[Augmentation, Values]]:
    """Yield an entry with each of its settings, and samples of each form that it takes."""
    for _, augmentation in all_made(name):
        for form in augmentation.takes:
            yield augmentation, samples_of(form)


def samples_of(form: str) -> Values:
    """Return random samples of a form."""
    random = np.random.default_rng(0)
    if form == "spikes":
        sample, channel = np.sort(random.integers(0, SAMPLES, 600)), random.integers(0, CHANNELS, 600)
        time_us = (random.random(600) * np.array(DURATIONS_US)[sample]).astype(int)
        return SpikeTrains.of(sample, channel, time_us, DURATIONS_US, CHANNELS)
    shape = (SAMPLES, CHANNELS) if form == "values" else (SAMPLES, 6, CHANNELS)
    return torch.from_numpy(random.random(shape))


def content(values: Values) -> list[Tensor]:
    """Return what samples consist of."""
    if isinstance(values, SpikeTrains):
        return [values.indptr, values.channel, values.time_us, values.duration_us]
    return [values]


def equal(one: Values, other: Values) -> bool:
    """Return whether two batches of samples have the same bytes."""
    return all(map(torch.equal, content(one), content(other)))


def varied(augmentation: Augmentation, values: Values, seed: int = 0) -> Values:
    """Return samples as a seed varies them."""
    return augmentation.vary(values, torch.Generator().manual_seed(seed), IMAGE)


@every
def test_form_channels_and_lengths_stay(name: str) -> None:
    """Expected: as many samples of the same form and channels, none longer; what was given keeps its bytes."""
    for augmentation, given in cases(name):
        before = copy.deepcopy(given)
        after = varied(augmentation, given)
        assert equal(given, before)
        assert type(after) is type(before)
        if not isinstance(after, SpikeTrains) or not isinstance(before, SpikeTrains):
            assert after.shape == before.shape  # type: ignore[union-attr]
            continue
        assert after.problem() is None
        assert (len(after), after.n_channels, after.dtype) == (len(before), before.n_channels, before.dtype)
        assert (after.duration_us <= before.duration_us).all()


@every
def test_draws_are_those_of_the_generator(name: str) -> None:
    """Expected: equal bytes of equal seeds, from no other generator; the entry remembers nothing."""
    for augmentation, values in cases(name):
        states = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002 - what must not be used
        first, _, again = (varied(augmentation, values, seed) for seed in (0, 1, 0))
        assert equal(first, again)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert str(np.random.get_state()) == states[1]  # noqa: NPY002


@every
def test_a_sample_is_varied_whatever_the_batch(name: str) -> None:
    """Expected: the same of each sample whether they are varied at once or one by one from one generator."""
    for augmentation, values in cases(name):
        together = varied(augmentation, values, seed=3)
        generator = torch.Generator().manual_seed(3)
        for sample in range(SAMPLES):
            chosen = torch.tensor([sample])
            assert equal(augmentation.vary(values[chosen], generator, IMAGE), together[chosen])


@every
def test_each_number_does_something(name: str) -> None:
    """Must differ: with each number at some value that it takes, some samples from those that were given."""
    changed = {
        key
        for setting, augmentation in all_made(name)
        for key in setting
        for form in augmentation.takes
        if not equal(varied(augmentation, samples_of(form)), samples_of(form))
    }
    assert changed == {key for setting in settings_of(name) for key in setting}
