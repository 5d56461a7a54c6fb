"""`sgbench data`: what is listed, what is refused, what is drawn."""

from __future__ import annotations

import errno
import json
import struct
import tempfile
from pathlib import Path

import pytest
import torch

from sgbench.cli.main import main
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.datasets.idx_images import FILES
from sgbench.errors import InputError
from sgbench.plots.entries.samples import choose_samples
from sgbench.training.build import build
from tests.datasets.fakes import fake_idx_images
from tests.messages import lines_naming, raises_naming


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, and no package of a distribution."""
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("sgbench.datasets.fashion_mnist.FashionMnist.elsewhere", ())
    return tmp_path / "data"


def said(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    assert main(["data", *words]) == code
    found = capsys.readouterr()
    return found.out, found.err


def test_list_names_every_data_set_and_the_root(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: one line each, with sizes as the entry has them; how to get what is absent, once."""
    out, _ = said(["list"], capsys)
    assert out.startswith(f"data root: {root} (")
    lines = {line.split()[0]: line for line in reversed(out.splitlines()) if line}
    for name, entry in catalogue.entries("dataset").items():
        assert "+".join(str(size or "?") for size in entry.meta["sizes"].values()) in lines[name]
    assert "  generated  " in lines["randman"]
    assert "  bundled " in lines["digits"]
    assert " 10 classes " in lines["digits"]
    assert " trace " in lines["mackey_glass"]
    assert "  absent " in lines["mnist"]
    assert len(lines_naming(out, "storage.googleapis.com", "four files")) == 1


def test_list_as_json_has_stable_keys(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the same facts; the state changes when the files are there."""
    keys = {"name", "line", "origin", "download", "licence", "sources", "target", "classes", "sizes", "sha256"}
    tree = json.loads(said(["list", "--json"], capsys)[0])
    assert tree["data_dir"] == str(root)
    assert all(set(each) == keys | {"state", "get"} for each in tree["datasets"])
    states = {each["name"]: each["state"] for each in tree["datasets"]}
    assert (states["fashion_mnist"], states["yin_yang"]) == ("absent", "generated")
    folder = root / "fashion_mnist"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).touch()
    again = json.loads(said(["list", "--json"], capsys)[0])
    assert {each["name"]: each["state"] for each in again["datasets"]}["fashion_mnist"] == "present"


def test_data_dir_is_an_option_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the option before the environment."""
    out, _ = said(["list", "--data-dir", str(tmp_path / "other")], capsys)
    assert out.startswith(f"data root: {tmp_path / 'other'} ")


def test_check_says_that_the_checksum_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the sizes of each split."""
    out, _ = said(["check", "digits", "yin_yang"], capsys)
    assert out == (
        "digits: train 1078, validation 359, test 360; checksum right\n"
        "yin_yang: train 5000, validation 1000, test 1000; checksum right\n"
    )


def spoil(folder: Path, how: str) -> None:
    """A data root with one thing wrong."""
    if how == "absent":
        return
    folder.mkdir(parents=True)
    fake_idx_images(folder, train=10, test=10, seed=0)
    if how == "cut":
        path = folder / "train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:-1])
    if how == "huge":
        header = bytes([0, 0, 8, 3]) + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1)
        (folder / "train-images-idx3-ubyte").write_bytes(header)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("absent", "is not in"),
        ("cut", "holds 7855 bytes, not what its header declares"),
        ("huge", "holds 16 bytes, not what its header declares"),
        ("other", "is not the expected"),
    ],
)
@pytest.mark.parametrize("command", [["check", "mnist"], ["show", "mnist"]], ids=lambda each: each[0])
def test_spoilt_files_are_one_line_and_exit_code_2(
    command: list[str], how: str, complaint: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: the file and the remedy, on the error stream; nothing on the other."""
    spoil(root / "mnist", how)
    out, err = said(command, capsys, code=2)
    assert out == ""
    assert err.startswith("sgbench: error: ")
    assert err.count("\n") == 1
    assert complaint in err
    assert "train-images-idx3-ubyte" in err


def test_a_run_on_absent_files_ends_with_the_same_line(root: Path) -> None:
    """Expected: an InputError, so exit code 2, with the place and the remedy, before anything is trained."""
    data = build(compose(["experiment=mnist"])).data
    with raises_naming(InputError, f"{root}/mnist", "sgbench data download mnist", "four files") as caught:
        data.setup()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["check", "mnsit"], "dataset 'mnsit' does not exist; did you mean 'mnist'"),
        (["show", "digits", "--samples", "0"], "--samples 0: at least 1 is needed"),
        (["show", "digits", "--plot", "picture.bmp"], "--plot picture.bmp: "),
        (["show", "digits", "--plot", "/nowhere/at/all.png"], "folder /nowhere/at does not exist"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the word and the remedy, exit code 2, before anything is loaded or drawn."""
    _, err = said(words, capsys, code=2)
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", ["digits", "yin_yang", "sequential_digits", "temporal_xor", "random_patterns"])
def test_show_draws_every_form(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: images, points, traces and rasters are files; the text has the facts. People look at them."""
    path = tmp_path / "picture.png"
    out, _ = said(["show", name, "--plot", str(path), "--samples", "4", "--split", "test"], capsys)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert str(catalogue.entry("dataset", name).meta["sha256"]) in out
    assert f"picture: {path}" in out


def test_checksum_is_that_of_the_samples_whatever_the_entry_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: the pinned SHA-256 alone, also from a file that states another; `check` refuses that one."""
    expected = "a6c912caceb26304bba4659c2e0db2657d90cd276d428394696607ba1a9be8f5"  # Kriener's samples
    assert said(["checksum", "yin_yang"], capsys)[0] == f"{expected}\n"
    shipped = catalogue.entry("dataset", "digits")
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    mine = tmp_path / "conf" / "dataset" / "mine.yaml"
    mine.write_text(shipped.path.read_text().replace(str(shipped.meta["sha256"]), "0" * 64))
    out, _ = said(["checksum", "mine", "--config-dir", str(tmp_path / "conf")], capsys)
    assert out == f"{shipped.meta['sha256']}\n"


def test_a_full_disk_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected: the path and the reason, exit code 2."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    path = tmp_path / "picture.png"
    _, err = said(["show", "temporal_xor", "--plot", str(path)], capsys, code=2)
    reason = "No space left on device; free space or choose another folder"
    assert err == f"sgbench: error: {path} cannot be written: {reason}\n"


def test_classes_take_turns_in_a_picture() -> None:
    """Expected by hand: the first of each class, then the second of each, and so on."""
    assert choose_samples(torch.tensor([2, 2, 0, 1, 0, 2]), 5) == [2, 3, 0, 4, 1]
    assert choose_samples(torch.tensor([1]), 5) == [0]
