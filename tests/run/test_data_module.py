"""Data sets of the catalogue as LightningDataModules: the splits of their protocols, for networks of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sgbench
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.training.build import build
from sgbench.training.data_module import DRAWN_FROM, _overrides_for, _protocol_of
from tests.messages import raises_naming

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_batches_are_those_of_a_run() -> None:
    """Must match, to the bit: validation and test of a run with the same protocol; training the same samples."""
    module = sgbench.data("yin_yang", batch_size=50)
    module.setup()
    run = build(compose([*_overrides_for(module.protocol, []), "protocol.batch_size=50"])).data
    run.setup()
    for x_target, batch in zip(module.val_dataloader(), run.evaluation("validation"), strict=True):
        assert torch.equal(x_target[0], batch.x if isinstance(batch.x, torch.Tensor) else batch.x.dense())
        assert torch.equal(x_target[1], batch.target)
    with run.last_step():
        tests = [batch.target for batch in run.evaluation("test")]
    assert torch.equal(torch.cat([target for _, target in module.test_dataloader()]), torch.cat(tests))
    first, second = (torch.cat([target for _, target in module.train_dataloader()]) for _ in range(2))
    assert torch.equal(first.sort().values, run.splits["train"].target.sort().values)
    assert torch.equal(first, second)  # a loader made anew begins its order anew
    loader = module.train_dataloader()
    epochs = [torch.cat([target for _, target in loader]) for _ in range(2)]
    assert not torch.equal(*epochs)


def test_axes_and_lengths() -> None:
    """By shape: time first or samples first, with the valid steps of each sample."""
    swapped = sgbench.data("yin_yang_v1", batch_size=8, time_first=False, with_lengths=True)
    swapped.setup()
    x, target, lengths = next(iter(swapped.val_dataloader()))
    assert x.shape == (8, swapped.steps, swapped.n_inputs)
    assert (target.shape, lengths.shape) == ((8,), (8,))
    (one, _, _) = swapped.val_dataloader().dataset[3]
    assert one.shape[0] == 1


def test_every_data_set_has_a_protocol() -> None:
    """Each data set of the catalogue finds one that fixes this data set."""
    for name in catalogue.paths("dataset"):
        words = dict(word.split("=", 1) for word in _overrides_for(_protocol_of(name, []), []))
        assert words["dataset"] == name
        assert set(words) - {"protocol"} <= {key for key in words if key.partition(".")[0] in DRAWN_FROM}


def test_an_unknown_name() -> None:
    """Expected: the name, and one that was meant."""
    with raises_naming(InputError, "brail", "braille"):
        sgbench.data("brail")


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.paths("dataset"))
def test_every_data_set_is_one_or_names_what_is_missing(name: str, tmp_path: Path) -> None:
    """Made for each; loaded where no files are needed, else the refusal names the data set."""
    module = sgbench.data(name)
    assert module.n_inputs > 0
    assert module.n_outputs > 0
