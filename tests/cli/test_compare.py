"""`sgbench compare` and the pictures: numbers against closed forms, pixels against emptiness."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch

import sgbench
from sgbench.cli.main import main
from sgbench.plots.entries import surrogate_curves as curves
from tests.cli import odd_shapes

Capture = pytest.CaptureFixture[str]


def compared(capsys: Capture, *words: str) -> dict[str, Any]:
    """The JSON's rows by name."""
    assert main(["compare", "--json", *words]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["entries"]}


def coloured(path: Path) -> np.ndarray:
    """Where a PNG is neither grey, white nor black."""
    image = matplotlib.image.imread(path)[..., :3]
    return image.max(-1) - image.min(-1) > 0.2


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """The words that add the made-up entries."""
    return odd_shapes.write_entries(tmp_path / "conf")


def test_numbers_are_those_of_mathematics(capsys: Capture) -> None:
    """Cauchy bell of the width w = 4 / (pi alpha): area pi w / 2, a tenth at 3 w; triangle: a tenth at 1.8."""
    rows = compared(capsys, "surrogate/atan", "surrogate/triangle", "surrogate/constant", "--width", "0.5")
    atan, triangle, constant = rows["atan"], rows["triangle"], rows["constant"]
    w = 2 / math.pi  # alpha = 2
    assert [atan["peak"], atan["area"], atan["width"], atan["width_10"]] == pytest.approx([1, 1, w, 3 * w])
    matched = atan["matched"]
    assert [matched[key] for key in ("peak", "width", "area", "width_10")] == pytest.approx([1, 0.5, math.pi / 4, 1.5])
    assert atan["support"] == ["-inf", "inf"]
    assert atan["kinks"] == []  # a bell declares its threshold, and this one is round there
    assert triangle["kinks"] == pytest.approx([-1, 0, 1])
    assert triangle["support"] == pytest.approx([-1, 1])
    assert triangle["width_10"] == pytest.approx(1.8)
    assert triangle["matched"]["area"] == pytest.approx(0.5)
    assert triangle["matched"]["support"] == pytest.approx([-0.5, 0.5])
    assert constant["area"] == constant["width_10"] == "inf"
    assert constant["width"] is constant["matched"] is None


def test_numbers_are_those_of_the_objects(capsys: Capture) -> None:
    """Presets and canonical entries; a preset differs from its canonical entry where its height does."""
    names = ["surrogate/sigmoid", "surrogate/snntorch/sigmoid"]
    rows = compared(capsys, *names)
    for name in names:
        made = sgbench.create(name)
        row = rows[name.removeprefix("surrogate/")]
        assert [row["peak"], row["area"], row["width"]] == pytest.approx([made.peak, made.area, made.fwhm])
    assert rows["snntorch/sigmoid"]["peak"] == pytest.approx(25 / 4)
    assert rows["sigmoid"]["peak"] != rows["snntorch/sigmoid"]["peak"]
    assert rows["sigmoid"]["matched"]["area"] == pytest.approx(rows["snntorch/sigmoid"]["matched"]["area"])


@pytest.mark.slow
def test_rows_have_stable_keys(own: list[str], capsys: Capture) -> None:
    """The same for every kind, and strict JSON: no bare Infinity."""
    names = [f"surrogate/{name}" for name in odd_shapes.ODD]
    assert main(["compare", "--json", *names, *own]) == 0
    text = capsys.readouterr().out
    assert "Infinity" not in text
    assert "NaN" not in text
    keys = {"name", "peak", "area", "width", "width_10", "support", "kinks", "primitive", "stochastic"}
    for row in json.loads(text)["entries"]:
        assert set(row) == keys | {"elementwise", "output", "matched"}


def test_table_for_people(capsys: Capture) -> None:
    """A head and one line each, in the order given."""
    assert main(["compare", "surrogate/triangle", "surrogate/atan"]) == 0
    head, first, second, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["name", "peak", "area", "width"]
    assert first.split()[:5] == ["triangle", "1", "1", "1", "1.8"]
    assert second.split()[:4] == ["atan", "1", "1", "0.637"]


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["surrogate/atan"], "2 to 12 entries"),
        ([*(f"surrogate/{name}" for name in "abcdefghijklm")], "does not exist"),
        (["surrogate/atan", "surrogate/atan"], "there twice"),
        (["surrogate/atan", "surrogate/triangel"], "did you mean 'triangle'"),
        (["surrogate/atan", "triangle"], "e.g. surrogate/triangle"),
        (["neuron/leaky", "neuron/alif"], "only surrogates can be compared"),
        (["surrogat/atan", "surrogate/triangle"], "did you mean 'surrogate'"),
        (["surrogate/atan", "surrogate/triangle", "--width", "0"], "--width"),
        (["surrogate/atan", "surrogate/triangle", "--width", "wide"], "--width='wide'"),
        (["surrogate/atan", "surrogate/triangle", "--plot", "x.jpg"], ".png"),
        (["surrogate/atan", "surrogate/triangle", "--plot", "/nowhere/x.png"], "does not exist"),
    ],
    ids=str,
)
def test_what_cannot_be_compared(words: list[str], said: str, capsys: Capture) -> None:
    """One line, exit code 2."""
    assert main(["compare", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.slow
def test_picture_of_a_comparison(own: list[str], tmp_path: Path, capsys: Capture) -> None:
    """Curves in both panels; twelve entries are taken, thirteen are not."""
    path = tmp_path / "both.png"
    assert main(["compare", "surrogate/atan", "surrogate/triangle", "--plot", str(path)]) == 0
    marks = coloured(path)
    half = marks.shape[1] // 2
    assert min(marks[:, :half].sum(), marks[:, half:].sum()) > 1000
    every = [f"surrogate/{name}" for name in (*odd_shapes.ODD, "atan", "zero", "constant", "sigmoid")][:12]
    assert main(["compare", *every, *own, "--plot", str(path)]) == 0
    assert main(["compare", *every, "surrogate/madeup/fast", *own]) == 2
    assert "given: 13" in capsys.readouterr().err


DRAWN = ("lobed", "lopsided")  # with a primitive and without one


@pytest.mark.slow
@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in DRAWN)) for name in odd_shapes.ODD]
)
def test_pictures_of_odd_kinds(name: str, own: list[str], tmp_path: Path) -> None:
    """A curve on the left; on the right one where there is a primitive, words where there is none."""
    path = tmp_path / f"{name}.png"
    assert main(["show", f"surrogate/{name}", *own, "--plot", str(path)]) == 0
    marks = coloured(path)
    height, width = marks.shape
    panels = marks[int(0.2 * height) : int(0.75 * height)]
    assert panels[:, : width // 2].sum() > 500
    right = panels[:, width // 2 :].sum()
    assert right > 500 if odd_shapes.ODD[name]().has_primitive else right == 0


@pytest.mark.slow
def test_pictures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    """SVG without a date and with fixed names; another entry gives others."""
    paths = [tmp_path / f"{number}.svg" for number in range(3)]
    for path, name in zip(paths, ["atan", "atan", "triangle"], strict=True):
        assert main(["show", f"surrogate/{name}", "--plot", str(path)]) == 0
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()


def test_reference_is_matched() -> None:
    """Peak and width of the entry, or the peak alone; none for a slope of 0; its own curve is recognised."""
    atan, constant = sgbench.create("surrogate/atan", scale=3.0), sgbench.create("surrogate/constant")
    matched = curves.matched_fast_sigmoid(atan)
    assert matched is not None
    assert atan.fwhm is not None
    assert [matched.surrogate.peak, matched.surrogate.fwhm] == pytest.approx([3.0, atan.fwhm])
    half = matched.surrogate.derivative(torch.tensor([atan.fwhm / 2], dtype=torch.float64))
    assert half.item() == pytest.approx(1.5)
    assert matched.label == "peak- and width-matched fast_sigmoid"
    loose = curves.matched_fast_sigmoid(constant)
    assert loose is not None
    assert "default width" in loose.label
    assert curves.matched_fast_sigmoid(sgbench.create("surrogate/zero")) is None
    assert not curves.same_curve(atan, matched.surrogate)
    itself = sgbench.create("surrogate/fast_sigmoid")
    again = curves.matched_fast_sigmoid(itself)
    assert again is not None
    assert curves.same_curve(itself, again.surrogate)


def test_extents_of_odd_kinds() -> None:
    """By hand: a ramp from -0.5 to 1 is above a half from 0.25 on; two boxes reach from -2.5 to 0.5."""
    assert curves.extent(odd_shapes.Lopsided(), 0.5) == pytest.approx((0.25, 1.0))
    assert curves.extent(odd_shapes.Signed(), 0.5) == pytest.approx((-2.5, 0.5))
    assert curves.extent(odd_shapes.Counting(), 0.5) == pytest.approx((-0.5, math.inf))
    assert curves.extent(odd_shapes.Periodic(), 0.5) == (-math.inf, math.inf)
    assert curves.corners(odd_shapes.Signed()) == pytest.approx([-2.5, -1.5, -0.5, 0.5])
    assert curves.corners(odd_shapes.Lobed()) == []
