"""Energies, sizes and methods that no run gave: what a network built from names and numbers contradicts.

The sample on the board of digits_v1 is honest; its network has 64 inputs, 64 neurons and 10 outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load, save

from sgbench.cli.main import main
from sgbench.leaderboard.deviation import References
from sgbench.records.content import Scores
from sgbench.records.counts import OpCounts
from sgbench.records.record import RunRecord
from sgbench.submissions.check import check
from sgbench.submissions.verify.network import count_differences
from sgbench.submissions.verify.verdict import DataJudge
from tests.messages import lines_naming
from tests.submission.factory import Files, rerecord, sealed, write
from tests.submission.lies import Change, changed, numbered, recorded

REFERENCES = References()
JUDGE = DataJudge(REFERENCES, data=False)
EVENTS = ("spikes_sent", "neuron_updates_with_input", "effective", "input_events", "spread")
"""What only a run can tell."""


def everywhere(**values: int) -> Change:
    """Change counts of both layers, and of their connections, of one record."""

    def change(tree: Any) -> None:
        for layer in tree["counts"]["layers"]:
            for group in (layer, *layer["synapses"]):
                for name, value in values.items():
                    if name in group:
                        group[name] = {"total": value, "reason": None} if isinstance(group[name], dict) else value

    return changed(change)


CONTRADICTED: dict[str, tuple[Change, str]] = {
    "no_state": (everywhere(state_reads=0, state_writes=0), "state_reads is 0, its network has 576000"),
    "no_neuron_operations": (
        everywhere(neuron_multiplications=0, neuron_additions=0, neuron_comparisons=0),
        "neuron_multiplications is 0, its network has 576000",
    ),
    "no_weight_reads": (everywhere(weight_reads=0), "weight_reads is 0, its network has 624192"),
    "narrow": (everywhere(weight_bits=1, state_bits=1), "state_bits is 1, its network has 32"),
    "one_weight": (everywhere(weights=1), "weights is 1, its network has 4096"),
    "pruned": (everywhere(zero_weights=4096), "zero_weights is 4096, its network has 0"),
    "small": (recorded("parameters", 1), "parameters is 1, its network has 4736"),
    "not_counted": (
        recorded("counts.layers.0.state_reads", {"total": None, "reason": "free"}),
        "state_reads is free, its network has 576000",
    ),
    "other_neuron": (recorded("counts.layers.0.neuron", "<b>\x1b[2J"), "neuron is b 2J, its network has Leaky"),
    "too_narrow": (lambda files: numbered(files, "surrogate", width_fwhm=-2), "surrogate.width_fwhm=-2"),
    "too_wide": (lambda files: numbered(files, "surrogate", width_fwhm=1e90), "surrogate.width_fwhm=1e+90"),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", CONTRADICTED)
def test_contradicted_by_its_network(files: Files, tmp_path: Path, name: str) -> None:
    """Expected numbers by hand: 360 samples of 25 steps, 64 neurons; 64 x 64 + 64 x 10 weights of 32 bits."""
    change, words = CONTRADICTED[name]
    found = check(write(tmp_path, change(files)), references=REFERENCES, judge=JUDGE)
    lines = [problem.message for problem in found.problems if problem.level == "error"]
    assert any(words in line for line in lines), lines
    assert all(line.isprintable() for line in lines)


def test_the_sample_itself_is_fine(files: Files, tmp_path: Path) -> None:
    """Must differ: without a lie there is no line."""
    assert check(write(tmp_path, files), references=REFERENCES, judge=JUDGE).problems == ()


def leaves(tree: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all numbers and texts; a reason why something is not counted is none."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from leaves(value, (*place, key))
    if isinstance(tree, int | str):
        yield place


def test_no_count_can_be_changed_alone(files: Files) -> None:
    """Every leaf of a record's counts that no event moves, one more: the record or its network says no."""
    honest = json.loads(files["records/0.json"])
    weights = files["weights/0.safetensors"]
    assert JUDGE.misfit(RunRecord.model_validate(honest), weights, "it") is None
    looked_at = 0
    for place in leaves(honest["counts"]):
        if any(part in EVENTS for part in place):
            continue
        tree = json.loads(files["records/0.json"])
        node = tree["counts"]
        for part in place[:-1]:
            node = node[part]
        value = node[place[-1]]
        node[place[-1]] = value + 1 if isinstance(value, int) else "other"
        looked_at += 1
        try:
            forged = RunRecord.model_validate(tree)
        except ValidationError:
            continue
        assert JUDGE.misfit(forged, weights, "it") is not None, place
    assert looked_at > 40


def test_weights_under_other_names(files: Files, tmp_path: Path) -> None:
    """As many numbers as the network has, in tensors that it does not have."""
    renamed = {f"evil.{name}": value for name, value in load(files["weights/0.safetensors"]).items()}
    found = check(write(tmp_path, rerecord(files, 0, weights=save(renamed))), references=REFERENCES, judge=JUDGE)
    (line,) = [problem.message for problem in found.problems]
    assert lines_naming(line, "does not fit")


HEADERS: dict[str, tuple[bytes, bytes]] = {
    "a lone surrogate": (b'"layers.0.weight"', b'"\\ud800"'),
    "a negative zero": (b"[0,", b"[-0,"),
    "a byte order mark": (b"{", b"\xef\xbb\xbf{"),
}
"""What Python's reader of JSON takes and the library that loads weights does not."""


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_the_library_of_weights_refuses(files: Files, tmp_path: Path, name: str) -> None:
    """One line about the file, and no traceback: the two readers of one header need not agree."""
    data = files["weights/0.safetensors"]
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].replace(*HEADERS[name], 1)
    forged = rerecord(files, 0, weights=sealed(header, data[8 + length :]))
    found = check(write(tmp_path, forged), references=REFERENCES, judge=JUDGE)
    (problem,) = found.problems
    assert problem.path == "weights/0.safetensors"
    assert problem.message.isprintable()


def test_stated_zeros_are_those_of_the_file(files: Files) -> None:
    """Half of the first layer pruned: 2,048 zeros, and a record that says so contradicts nothing."""
    stored = {name: value.copy() for name, value in load(files["weights/0.safetensors"]).items()}
    stored["layers.0.weight"][:32] = 0
    tree = json.loads(files["records/0.json"])
    first = tree["counts"]["layers"][0]["synapses"][0]
    assert lines_naming(str(JUDGE.misfit(RunRecord.model_validate(tree), save(stored), "it")), "zero_weights", "2048")
    first["zero_weights"] = int(np.count_nonzero(stored["layers.0.weight"] == 0))
    assert JUDGE.misfit(RunRecord.model_validate(tree), save(stored), "it") is None


OTHER = {"accumulate": "multiply_accumulate", "all_to_all": "one_to_one"}


def altered(files: Files, place: tuple[str | int, ...], factor: float) -> RunRecord:
    """Seed 0 with one number of its results times a factor, or a text that is another."""
    tree = json.loads(files["records/0.json"])
    node = tree
    for part in place[:-1]:
        node = node[part]
    value = node[place[-1]]
    node[place[-1]] = OTHER.get(value, "other") if isinstance(value, str) else type(value)(value * factor)
    return RunRecord.model_construct(
        **{
            **dict(RunRecord.model_validate(json.loads(files["records/0.json"]))),
            "counts": OpCounts.model_validate(tree["counts"]),
            "test": Scores.model_validate(tree["test"]),
            "validation": Scores.model_validate(tree["validation"]),
        }
    )


def places(files: Files) -> list[tuple[str | int, ...]]:
    """Of all results of seed 0 that a run gives again and that are not 0."""
    tree = json.loads(files["records/0.json"])
    chosen = {name: tree[name] for name in ("counts", "test", "validation")}
    found = [*leaves(chosen), ("test", "loss"), ("validation", "loss")]
    for split in ("test", "validation"):
        found += [(split, "accuracy"), *((split, "activity", 0, name) for name in ("rate_per_step", "dead_fraction"))]
    return [place for place in dict.fromkeys(found) if value_at(tree, place) not in (0, None)]


def value_at(tree: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        tree = tree[part]
    return tree


def test_no_result_can_be_changed_past_re_inference(files: Files) -> None:
    """Every leaf of counts and scores, at half of what it was: named, if not in the same words."""
    honest = RunRecord.model_validate(json.loads(files["records/0.json"]))
    assert honest.counts is not None
    assert honest.test is not None
    assert honest.validation is not None
    again = (honest.counts, honest.test, honest.validation)
    assert list(count_differences(honest, *again)) == []
    looked_at = 0
    for place in places(files):
        if place[-1] in ("samples", "steps") and place[0] != "counts":
            continue
        looked_at += 1
        factor = 0.0 if place[-1] == "dead_fraction" else 0.5  # two of 64 neurons; one may be off
        assert list(count_differences(altered(files, place, factor), *again)), place
    assert looked_at > 50


@pytest.mark.parametrize(("factor", "passes"), [(0.995, True), (1.005, True), (0.98, False), (1.02, False)])
def test_what_other_processors_may_count(files: Files, factor: float, passes: bool) -> None:
    """Spikes, what they trigger and losses half a percent off pass, two percent do not; shapes are exact."""
    honest = RunRecord.model_validate(json.loads(files["records/0.json"]))
    again = (honest.counts, honest.test, honest.validation)
    first = ("counts", "layers", 0)
    following = [
        (*first, "spikes_sent", "total"),
        (*first, "neuron_updates_with_input", "total"),
        (*first, "synapses", 0, "effective", "total"),
        (*first, "weight_reads", "total"),
        ("test", "loss"),
        ("test", "activity", 0, "rate_per_step"),
    ]
    for place in following:
        assert (list(count_differences(altered(files, place, factor), *again)) == []) == passes, place
    assert list(count_differences(altered(files, (*first, "neuron_updates", "total"), factor), *again))


def test_what_a_check_cannot_see_re_inference_does(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No update with input: it changes energies and contradicts no shape, so a check passes and the run refuses."""
    forged = recorded("counts.layers.0.neuron_updates_with_input", {"total": 0, "reason": None})(
        recorded("test.loss", 0.0)(files)
    )
    root = write(tmp_path, forged)
    assert not check(root, references=REFERENCES, judge=JUDGE).refused(strict=False)
    assert main(["verify", str(root), "--tier", "reinferred", "--seeds", "1"]) == 1
    assert lines_naming(capsys.readouterr().out, "neuron_updates_with_input", "156544")
