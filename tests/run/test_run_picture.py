"""The picture of a run: its numbers are those of the record and of the replayed network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import sgbench
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.plots import run as run_pictures
from sgbench.plots.run import RunPicture, why_no_rates
from sgbench.records.files import to_json
from sgbench.records.record import RunRecord
from sgbench.training.stored_run import figure_of_run, load_selected, stored_run
from tests.messages import lines_naming, raises_naming


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[RunPicture]:
    """What is drawn, instead of a file."""
    pictures: list[RunPicture] = []

    monkeypatch.setattr(run_pictures, "run_figure", pictures.append)
    return pictures


def test_the_numbers_are_those_of_the_record_and_of_the_network(
    finished: RunRecord, runs_dir: Path, drawn: list[RunPicture]
) -> None:
    """Independent: the spikes of the first validation sample, stepped by hand through the first layer."""
    (path,) = runs_dir.rglob("record.json")
    figure_of_run(path.parent, samples=2)
    (picture,) = drawn
    assert picture.record == finished
    assert picture.rates[0].where == ("validation", "test")
    assert finished.test is not None
    assert picture.rates[0].rate[1] == finished.test.activity[0].rate_per_step
    assert finished.validation is not None
    assert picture.rates[0].by_epoch is not None
    assert len(picture.rates[0].by_epoch) == len(finished.curve)
    selected = picture.rates[0].by_epoch[finished.best_epoch]
    assert selected == finished.validation.activity[0].rate_per_step  # counted once more, after training
    assert why_no_rates(picture.record) == ""
    run = stored_run([str(path.parent)])
    layer = load_selected(run).hidden_layers[0]
    run.parts.data.setup()
    batch = next(iter(run.parts.data.evaluation("validation")))
    for place, sample in enumerate(picture.samples):
        current = batch.x.dense()[:, place] @ layer.weight.detach().T  # type: ignore[union-attr]
        state = layer.neuron.initial_state(current[:1])
        for step, now in enumerate(current):
            sent, state = layer.neuron.step(now[None], state)
            assert np.array_equal(sample.spikes["hidden0"][step], sent[0].detach().numpy())
    assert len(picture.samples) == 2


def test_an_older_record_says_why_it_has_no_rates_by_epoch(
    finished: RunRecord, runs_dir: Path, drawn: list[RunPicture]
) -> None:
    """Must differ: one without the field; must match: its bytes do not name it. A rate an epoch is held to."""
    (path,) = runs_dir.rglob("record.json")
    older = finished.model_copy(update={"validation_rates": None})
    path.write_bytes(to_json(older))
    assert b"validation_rates" not in path.read_bytes()
    figure_of_run(path.parent, samples=0)
    assert "before they were kept" in why_no_rates(drawn[0].record)
    assert drawn[0].rates[0].by_epoch is None
    assert finished.validation_rates is not None
    cut = finished.validation_rates[0].model_copy(update={"rate_per_step": (0.1,)})
    path.write_bytes(to_json(finished.model_copy(update={"validation_rates": (cut,)})))
    with raises_naming(InputError, "hidden0", "1", "3"):
        figure_of_run(path.parent, samples=0)


def test_the_command_draws_a_run_and_refuses_by_name_what_is_gone(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without weights the curves alone are drawn where they are asked for; the record alone is a line."""
    (path,) = trained.rglob("record.json")
    folder = tmp_path / "run"
    shutil.copytree(path.parent, folder)
    assert main(["show", str(folder), "--plot", str(tmp_path / "whole.png")]) == 0
    assert "digits_v1 atan" in capsys.readouterr().out
    (folder / "weights.safetensors").unlink()
    assert main(["show", str(folder), "--plot", str(tmp_path / "refused.png")]) == 2
    error = capsys.readouterr().err
    assert "weights.safetensors" in error
    assert lines_naming(error, "--samples 0")
    sgbench.plot(folder, tmp_path / "curves.png", samples=0)
    sizes = [(tmp_path / name).stat().st_size for name in ("whole.png", "curves.png")]
    assert sizes[0] > sizes[1] > 0
    assert not (tmp_path / "refused.png").exists()
