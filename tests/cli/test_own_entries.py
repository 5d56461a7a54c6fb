"""An entry in a folder of one's own: checked from anywhere, each failure with its remedy; words that are none."""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from sgbench.cli.main import main, parser
from sgbench.composition import catalogue
from sgbench.surrogates.base import Surrogate
from sgbench.training.creation import create
from sgbench.training.provenance import source_sha256
from sgbench.yours.entry_check import WIDTH_TOLERANCE, measured_fwhm, surrogate_problems
from tests.documents import WORKED_ENTRIES, files_shown, sections
from tests.messages import lines_naming

GOOD = ["atan", "triangle", "gaussian", "log_abs", "ramp", "zero", "multi_gaussian", "leaky_relu", "squarewave_fourier"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The worked biweight in a folder of one's own, and one with three mistakes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code, entry = files_shown(sections(WORKED_ENTRIES)["A surrogate: the biweight"]).values()
    wrong = (
        code.replace("16 / 15", "0.9")
        .replace("2 * (1 - 0.5**0.5) ** 0.5", "1.2")
        .replace("inside**5 / 5", "inside**5 / 4")
    )
    conf = tmp_path / "my_conf" / "surrogate"
    conf.mkdir(parents=True)
    for name, text in (("own_biweight", code), ("wrong_biweight", wrong)):
        (tmp_path / f"{name}.py").write_text(text)
        (conf / f"{name}.yaml").write_text(entry.replace("sgbench.surrogates.biweight", name))
        monkeypatch.delitem(sys.modules, name, raising=False)
    return conf


@pytest.mark.slow
def test_a_class_is_trusted_once_for_all_commands(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected: the variable does what the option does; must differ: without it, and with another class."""
    words = ["check-entry", str(folder / "own_biweight.yaml")]
    for value, code in (("", 2), ("wrong_biweight.Biweight", 2), ("a.B, own_biweight.Biweight", 0)):
        monkeypatch.setenv("SGBENCH_ALLOW_TARGET", value)
        assert main(words) == code, capsys.readouterr().err


def test_an_entry_of_ones_own_keeps_the_contracts_or_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: the area is 16/15 and the width 1.0824; the class lies in the current folder."""
    allow = "--allow-target"
    assert main(["check-entry", str(folder / "own_biweight.yaml"), allow, "own_biweight.Biweight"]) == 0
    assert "keeps the contracts" in capsys.readouterr().out
    assert main(["check-entry", str(folder / "wrong_biweight.yaml"), allow, "wrong_biweight.Biweight"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert lines_naming(told[0], "bell_area", "0.9", "1.06666666666667")
    assert lines_naming(told[1], "bell_fwhm", "1.2", "1.08239220029239")
    assert lines_naming(told[2], "bell_integral", "slope")


def checked(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code and lines of the check of an entry whose file was changed."""
    sys.modules.pop(name, None)
    code = main(["check-entry", str(folder / f"{name}.yaml"), "--allow-target", f"{name}.Biweight"])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_what_the_check_says_to_set_is_what_the_contracts_ask_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: numbers as printed pass the check, whose tolerance is that of the contract tests; 1.082 fails."""
    source = folder.parents[1] / "wrong_biweight.py"
    source.write_text(source.read_text().replace("inside**5 / 4", "inside**5 / 5"))
    code, told = checked(folder, "wrong_biweight", capsys)
    area, width = (re.findall(r"measured (\S+);", line)[0] for line in told)
    assert (code, len(told)) == (1, 2)
    text = source.read_text().replace("= 0.9", f"= {area}").replace("= 1.2", f"= {width}")
    source.write_text(text)
    assert checked(folder, "wrong_biweight", capsys)[0] == 0
    made = sys.modules["wrong_biweight"].Biweight(slope=1.0, width_fwhm=None, normalisation="raw", scale=1.0)
    assert measured_fwhm(made.double()) == pytest.approx(made.fwhm, rel=WIDTH_TOLERANCE)
    source.write_text(text.replace(width, f"{float(width):.4g}"))
    assert checked(folder, "wrong_biweight", capsys)[0] == 1


@pytest.mark.slow
def test_what_the_file_says_of_the_slope_is_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: ends that the file claims or hides, words of another entry, and wrong ends, each named."""
    file, source = folder / "own_biweight.yaml", folder.parents[1] / "own_biweight.py"
    says, code = file.read_text(), source.read_text()
    file.write_text(says.replace("compact_support: true", "compact_support: false"))
    exit_code, told = checked(folder, "own_biweight", capsys)
    assert (exit_code, len(told)) == (1, 1)
    assert lines_naming(told[0], "meta.compact_support", "false", "true")
    formula = catalogue.entry("surrogate", "atan").meta["formula"]
    file.write_text(re.sub(r"formula: .*", f"formula: {json.dumps(formula)}", says))
    told = checked(folder, "own_biweight", capsys)[1]
    assert len(told) == 1
    assert lines_naming(told[0], "meta.formula", "surrogate/atan")
    file.write_text(says)
    source.write_text(code.replace("bell_support: ClassVar[float] = 1.0", "bell_support: ClassVar[float] = 0.5"))
    assert any(
        "support: declared" in line and "but not 0 at" in line for line in checked(folder, "own_biweight", capsys)[1]
    )
    source.write_text(code.replace("    bell_support: ClassVar[float] = 1.0\n", ""))
    told = checked(folder, "own_biweight", capsys)[1]
    assert lines_naming("\n".join(told), "support:", "[-inf, inf]", "bell_support")
    assert lines_naming(told, "meta.compact_support", "true", "false")


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["my_conf/surrogate/own_biweight.yaml"],
            "add --allow-target own_biweight.Biweight, or set SGBENCH_ALLOW_TARGET=own_biweight.Biweight for all",
        ),
        (["my_conf/surrogate/none.yaml"], "no such YAML file"),
        (["own_biweight.yaml"], "entries of surrogate"),
    ],
)
def test_what_is_no_entry_is_one_line(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    Path("own_biweight.yaml").write_text("line: nothing")
    assert main(["check-entry", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("def bell_integral", "does not define bell_integral; write what its base class says of it"),
        ("bell_area: ClassVar", "Biweight does not declare bell_area; set them in the class"),
        ("self.missing_before", "has no attribute 'missing_before'"),
    ],
)
def test_a_class_that_lacks_a_part_is_one_line(
    folder: Path, left_out: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: the part that is missing and where it is shown, exit code 2; the whole class passes above."""
    source = folder.parents[1] / "own_biweight.py"
    code = source.read_text()
    changed = code.replace(left_out, left_out.replace("bell_", "ball_"))
    if changed == code:
        changed = code.replace("        super().__init__(", f"        {left_out}\n        super().__init__(")
    assert changed != code
    source.write_text(changed)
    sys.modules.pop("own_biweight", None)
    words = [str(folder / "own_biweight.yaml"), "--allow-target", "own_biweight.Biweight"]
    assert main(["check-entry", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", GOOD)
def test_shipped_surrogates_keep_what_strangers_are_asked_for(name: str) -> None:
    """Must match: a check that failed them would be of no use."""
    made = create(f"surrogate/{name}")
    assert isinstance(made, Surrogate)
    assert surrogate_problems(made.double()) == []


def test_comments_change_no_hash_of_a_source_and_code_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people's class of one name are told apart."""
    monkeypatch.syspath_prepend(tmp_path)
    body = "class Mine:\n    def bell(self, z):\n        return {}\n"
    texts = {
        "mine_a": body.format("z * 2"),
        "mine_b": "# by me\n" + body.format("z  *  2  # twice"),
        "mine_c": body.format("z * 3"),
    }
    found = []
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        __import__(name)
        found.append(source_sha256(f"{name}.Mine"))
    assert found[0] == found[1] != found[2]
    assert source_sha256("nowhere.Mine") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst"], "did you mean 'list'"),
        (["board", "shw"], "did you mean 'show'"),
        (["data", "ad"], "did you mean 'add'"),
    ],
)
def test_a_mistyped_command_suggests_the_right_one(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2."""
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command without subcommands, and its options."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for word, below in group.choices.items():
            yield from leaves(below, f"{name} {word}".strip())
    if not groups:
        yield name, {option for action in parser._actions for option in action.option_strings}


def test_commands_that_import_classes_take_both_flags_of_own_entries() -> None:
    """What one command asks for the next does not refuse; releases are of classes of the catalogue alone."""
    asked = {"board", "submit", "verify", "recommend", "compare", "export", "data"}
    found = {name: options for name, options in leaves(parser()) if name.split()[0] in asked}
    assert len(found) > 15
    without = {name for name, own in found.items() if not {"--config-dir", "--allow-target"} <= own}
    assert without == {"board verify-release", "board update", "data add"}
