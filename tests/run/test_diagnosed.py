"""Diagnoses of runs: on their way, from their records, and from words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import sgbench
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.diagnosis.advice import OF_RUNS
from sgbench.errors import InputError
from sgbench.records.diagnosis import Diagnosis
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.training.stored_run import folder_with_record, load_selected, stored_run
from tests.messages import lines_naming, raises_naming
from tests.run.tiny import WORDS, comparable

PANELS = ("trainer.diagnose=[flow,activity]", "trainer.diagnose_every=2", "trainer.watch_agreement=true")


def only(folder: Path) -> Path:
    """The folder of the one run below."""
    (path,) = folder.rglob("record.json")
    return path.parent


def test_a_diagnosed_run_is_the_same_run(trained: Path, tmp_path: Path) -> None:
    """Expected: the record of the run without it but for time and diagnosis, and the same weights to the byte."""
    told = sgbench.run(*WORDS, *PANELS, f"paths.runs_dir={tmp_path}")
    assert told.diagnosis is not None
    assert [each.weights for each in told.diagnosis] == ["initial", "epoch 1", "selected"]
    assert {each.split for each in told.diagnosis} == {"validation"}
    plain = read_model(only(trained) / "record.json", RunRecord)
    assert told.learning is not None
    watched = told.learning.agreement
    assert watched is not None
    assert [each.epoch for each in watched] == sorted(2 * [line.epoch for line in told.curve])
    assert {each.layer for each in watched} == {"hidden0", "readout"}
    assert [each.cosine for each in watched] == pytest.approx([1] * len(watched)), "with itself"
    assert plain.learning == told.learning.model_copy(update={"agreement": None})
    own, without = comparable(told), comparable(plain)
    for name in ("diagnosis", "learning", "host_energy"):
        own.pop(name, None)
        without.pop(name, None)
    assert own == without
    first, second = (only(folder) / "weights.safetensors" for folder in (tmp_path, trained))
    assert first.read_bytes() == second.read_bytes()
    # The same figures come from the finished run, before and after.
    for weights, place in (("initial", 0), ("selected", 2)):
        again = sgbench.diagnose(str(only(tmp_path)), weights=weights, panels=("flow", "activity"))
        assert again == told.diagnosis[place]


def test_a_record_without_a_diagnosis_is_written_as_before(trained: Path) -> None:
    """Records that nobody asked to diagnose do not name the field."""
    assert "diagnosis" not in json.loads((only(trained) / "record.json").read_text())


def test_the_command_prints_both_weights_of_a_run(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As JSON each is a valid diagnosis; a picture is written beside it."""
    picture = tmp_path / "run.png"
    words = [str(only(trained)), "--panel", "flow,activity", "--batches", "1"]
    assert main(["diagnose", *words, "--json", "--plot", str(picture)]) == 0
    found = [Diagnosis.model_validate(each) for each in json.loads(capsys.readouterr().out)["diagnoses"]]
    assert [each.weights for each in found] == ["initial", "selected"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["diagnose", *words]) == 0
    text = capsys.readouterr().out
    assert text.startswith("initial weights, 256 samples of validation, loss ")
    assert "outlook: " in text


def test_a_line_ends_at_the_two_losses(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the losses that the diagnoses of both ends tell."""
    words = ["--points", "3", "--from", "0", "--to", "1", "--batches", "1", "--json"]
    assert main(["diagnose", "line", str(only(trained)), *words]) == 0
    line = json.loads(capsys.readouterr().out)["line"]
    for point, weights in ((line[0], "initial"), (line[2], "selected")):
        found = sgbench.diagnose(str(only(trained)), weights=weights, panels=["activity"], batches=1)
        assert point["loss"] == pytest.approx(found.loss, rel=1e-6)


def test_undisturbed_it_is_the_record_s_own_score(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Must match: the validation accuracy that the training wrote down; a picture and a table come with it."""
    folder = only(trained)
    record = read_model(folder / "record.json", RunRecord)
    assert record.validation is not None
    words = ["robustness", str(folder), "--draws", "1", "--what"]
    assert main(["diagnose", *words, "weight_bits", "--levels", "32,2", "--json"]) == 0
    told = capsys.readouterr()
    (curve,) = json.loads(told.out)["curves"]
    assert [point["severity"] for point in curve["points"]] == [None, 32.0, 2.0]
    assert curve["points"][0]["mean"] == record.validation.accuracy
    assert told.err == ""
    picture = tmp_path / "robust.png"
    assert main(["diagnose", *words, "delete", "--levels=1", "--plot", str(picture)]) == 0
    assert lines_naming(capsys.readouterr().out.splitlines()[0], "delete:", "probability", "mean of the curve")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_planes_and_loops_are_told_and_drawn(trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Must match: the losses of the plane towards the selected weights at b = 0 are those of the line there."""
    folder, picture = str(only(trained)), str(tmp_path / "plane.png")
    assert (
        main(["diagnose", "plane", folder, "--towards", "selected", "--points", "5", "--json", "--plot", picture]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["first"] == [-0.5, 0.0, 0.5, 1.0, 1.5]
    line_words = ["--points", "3", "--from", "0", "--to", "1", "--batches", "1", "--json"]
    assert main(["diagnose", "line", folder, *line_words]) == 0
    line = json.loads(capsys.readouterr().out)["line"]
    on_the_line = found["losses"][1][1:4]  # of b = 0
    assert on_the_line == pytest.approx([point["loss"] for point in line], rel=1e-5)
    assert main(["diagnose", "loop", folder, "--points", "3", "--planes", "2", "--plot", picture]) == 0
    assert "plane" in capsys.readouterr().out
    assert main(["diagnose", "plane", folder, "--weights", "selected", "--towards", "selected"]) == 2
    assert lines_naming(capsys.readouterr().err, "--weights initial")


@pytest.mark.slow
def test_what_is_gone_or_wrong_is_said_in_a_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without weights, with other weights, a folder without a record, and words that do not fit."""
    folder = tmp_path / "run"
    shutil.copytree(only(trained), folder)
    assert folder_with_record(str(folder)) == folder
    assert folder_with_record(str(folder / "record.json")) == folder
    run = stored_run([str(folder)])
    (folder / "weights.safetensors").write_bytes(b"other")
    with raises_naming(InputError, "--weights initial"):
        load_selected(run)
    (folder / "weights.safetensors").unlink()
    with raises_naming(InputError, "weights.safetensors", "--weights initial"):
        load_selected(run)
    for words, said in (
        ([str(tmp_path)], "give a folder with a record.json, or overrides such as surrogate=atan"),
        ([str(folder), "surrogate=atan"], "'surrogate=atan'"),
        ([str(folder), "--panel", "flo"], "panel 'flo': one or more of agreement, flow, activity are needed"),
        ([str(folder), "--weights", "best"], "--weights best: one or both of initial, selected are needed"),
        ([str(folder), "--plot", "a.gif"], "--plot a.gif"),
        (["experiment=digits", "network=ann_mlp"], "has no spiking neurons"),
        (["exact", "neuron.beta=0.5"], "the networks are fixed"),
        (["robustness", str(folder), "--levels", "1"], "severities are those of one disturbance; name it with"),
        (["robustness", str(folder), "--what", "noise"], "--what noise: "),
        (["robustness", "experiment=digits"], "has not been run, so it has no selected weights"),
        (["loop", str(folder), "--weights", "best"], "--weights best: one of initial, selected is needed"),
    ):
        assert main(["diagnose", *words]) == 2, words
        error = capsys.readouterr().err
        assert said in error, words
        assert error.count("\n") == 1, words


@pytest.mark.slow
def test_every_remedy_for_a_run_composes() -> None:
    """The words in brackets are taken as they stand, on a recurrent network."""
    said = "; ".join(text for text in OF_RUNS if isinstance(text, str))
    found = [word for words in re.findall(r"\(([^)]+)\)", said) for word in words.split(", or ")]
    assert len(found) == 9  # hand count
    for word in found:
        compose(["experiment=digits", "network.recurrence=all_to_all", word])


def test_a_record_of_an_older_version_is_diagnosed_and_one_of_a_newer_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Must match: without the fields that came later a record gives the same diagnosis."""
    folder = tmp_path / "run"
    shutil.copytree(only(trained), folder)
    tree = json.loads((folder / "record.json").read_text())
    older = {name: value for name, value in tree.items() if name not in RunRecord.LATER}
    assert older != tree
    (folder / "record.json").write_text(json.dumps(older))
    options = {"panels": ["flow"], "batches": 1}
    assert sgbench.diagnose(str(folder), **options) == sgbench.diagnose(str(only(trained)), **options)  # type: ignore[arg-type]
    (folder / "record.json").write_text(json.dumps({**tree, "schema_version": 2}))
    assert main(["diagnose", str(folder)]) == 2
    assert "schema_version" in capsys.readouterr().err


def test_data_that_are_gone_are_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The data set and what to do are named, of a network whose files nobody has."""
    words = ["experiment=fsdd", f"paths.data_dir={tmp_path}", "engine=reference"]
    assert main(["diagnose", *words, "--panel", "activity"]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path) in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_replicas_are_diagnosed_like_the_run_alone(tmp_path: Path) -> None:
    """Expected: the diagnoses of the run alone, in double precision."""
    from sgbench.composition.plan import plan
    from sgbench.replicas.group_worker import GroupWorker
    from sgbench.replicas.messages import WorkerMessage
    from sgbench.training.runner import run_spec

    words = [*WORDS, *PANELS, "protocol.precision=float64", "engine=reference", "seed=0,1"]
    specs = plan([*words, f"paths.runs_dir={tmp_path}/a"], multirun=True).specs
    told: list[WorkerMessage] = []
    GroupWorker(list(enumerate(specs)), told.append, lambda: False).run()
    records = {each.point: each.record for each in told if each.kind == "ended"}
    for place, spec in enumerate(specs):
        paths = spec.paths.model_copy(update={"runs_dir": f"{tmp_path}/b"})
        expected = run_spec(spec.model_copy(update={"paths": paths})).diagnosis
        found = records[place].diagnosis  # type: ignore[union-attr]
        assert expected is not None
        assert found is not None
        assert [each.weights for each in found] == [each.weights for each in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.loss == pytest.approx(other.loss, rel=1e-9)
