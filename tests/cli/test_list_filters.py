"""`sgbench list` with filters and `sgbench show` of presets, against files read by hand and made-up ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sgbench.cli.main import main
from sgbench.paths import conf_dir
from tests.cli import odd_shapes
from tests.messages import lines_naming

Capture = pytest.CaptureFixture[str]
FOLDER = conf_dir() / "surrogate"
META = {path.stem: yaml.safe_load(path.read_text())["meta"] for path in FOLDER.glob("*.yaml")}
PRESET_META = {
    path.relative_to(FOLDER).with_suffix("").as_posix(): yaml.safe_load(path.read_text())["meta"]
    for path in FOLDER.glob("*/*.yaml")
}


def names(capsys: Capture, *words: str) -> set[str]:
    """What the JSON of `list surrogate` names."""
    assert main(["list", "surrogate", "--json", *words]) == 0
    return {entry["name"] for entry in json.loads(capsys.readouterr().out)}


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The word that adds the made-up entries."""
    return odd_shapes.write_entries(tmp_path / "conf")[0]


def test_filters_take_what_the_files_declare(capsys: Capture) -> None:
    """Each filter keeps a part; every canonical entry is there without one, and no preset."""
    assert names(capsys) == set(META)
    compact = {name for name, meta in META.items() if meta["compact_support"]}
    assert names(capsys, "--compact-support") == compact
    assert {"triangle", "zero"} <= compact < set(META)
    assert names(capsys, "--learnable") == {name for name, meta in META.items() if meta.get("primitive", True)}
    controls = names(capsys, "--family", "control")
    assert controls == {name for name, meta in META.items() if meta["family"] == "control"}
    assert names(capsys, "--family", "control", "--compact-support") == controls & compact


def test_filters_on_made_up_entries(own: str, capsys: Capture) -> None:
    """Expected by hand from odd_shapes.META; a stochastic one without a primitive is not learnable."""
    assert names(capsys, own, "--stochastic") >= {"noisy", "randomspikes"}
    assert not names(capsys, own, "--stochastic") & {"lopsided", "periodic", "atan"}
    learnable = names(capsys, own, "--learnable")
    assert {"randomspikes", "signed", "atan"} <= learnable
    assert not {"noisy", "lopsided", "nameless"} & learnable
    assert names(capsys, own, "--family", "odd") == set(odd_shapes.ODD)


def test_library_lists_its_presets_alone(own: str, capsys: Capture) -> None:
    """By folder or by the library's own spelling; properties come from the canonical entry."""
    assert names(capsys, own, "--library", "madeup") == {"madeup/fast", "madeup/flat"}
    assert names(capsys, own, "--library", "otherlib", "--stochastic") == {"otherlib/Noisy"}
    assert names(capsys, own, "--library", "otherlib", "--learnable") == set()
    snntorch = {name for name in PRESET_META if name.startswith("snntorch/")}
    assert names(capsys, "--library", "snntorch") == names(capsys, "--library", "snnTorch") == snntorch
    assert "snntorch/atan" in snntorch


def test_last_line_counts_presets(own: str, capsys: Capture) -> None:
    """How many there are by library and how to list them; a filter counts too."""
    assert main(["list", "surrogate", own]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{len(PRESET_META) + 3} presets of ")
    assert "madeup 2" in last
    assert lines_naming(last, "sgbench list surrogate", "--library snntorch")
    assert main(["list", "surrogate", own, "--stochastic"]) == 0
    assert "otherlib 1" in capsys.readouterr().out.splitlines()[-1]
    assert main(["list", "neuron"]) == 0
    assert "preset" not in capsys.readouterr().out


def test_list_of_a_library_says_its_calls_and_bugs(own: str, capsys: Capture) -> None:
    """One line per preset; the mark is there for the buggy one alone."""
    assert main(["list", "surrogate", own, "--library", "madeup"]) == 0
    fast, flat = capsys.readouterr().out.splitlines()
    assert fast.split("  ")[0] == "madeup/fast"
    assert "madeup.fast(slope=10)" in fast
    assert "fast_sigmoid: slope is slope" in fast
    assert "[known bug]" not in fast
    assert flat.endswith("[known bug] [legacy]")


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "surrogate", "--library", "snntorh"], "did you mean 'snntorch'"),
        (["list", "surrogate", "--family", "bel"], "did you mean 'bell'"),
        (["list", "neuron", "--library", "snntorch"], "no entry of this group has a library"),
        (["list", "loss", "--family", "bell"], "groups that have one: neuron, "),
        (["list", "neuron", "--learnable"], "only entries of group 'surrogate'"),
        (["list", "rule", "--compact-support"], "only entries of group 'surrogate'"),
        (["list", "surrogate", "--linear"], "only entries of group 'neuron'"),
        (["list", "rule", "--stochastic"], "only entries of group 'surrogate' and 'neuron'"),
        (["list", "--stochastic"], "sgbench list surrogate --stochastic"),
        (["list", "surrogat", "--learnable"], "did you mean 'surrogate'"),
    ],
    ids=str,
)
def test_filters_that_cannot_be(words: list[str], said: str, capsys: Capture) -> None:
    """One line that names the remedy, exit code 2."""
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_filters_of_neurons(capsys: Capture) -> None:
    """By hand from the files: what the fast engines run, what draws, and a family."""
    neurons = {path.stem: yaml.safe_load(path.read_text())["meta"] for path in (conf_dir() / "neuron").glob("*.yaml")}

    def found(*words: str) -> set[str]:
        assert main(["list", "neuron", "--json", *words]) == 0
        return {entry["name"] for entry in json.loads(capsys.readouterr().out)}

    assert found("--linear") == {name for name, meta in neurons.items() if meta.get("linear")}
    assert {"leaky", "resonate_and_fire"} <= found("--linear") < set(neurons)
    assert found("--stochastic") == {"escape_noise", "noisy"}
    assert found("--family", "resonator") == {"resonate_and_fire", "brf", "hrf"}
    assert found("--family", "resonator", "--linear") == {"resonate_and_fire"}


def test_nothing_passes(capsys: Capture) -> None:
    """Said in words, and as an empty list."""
    words = ["--family", "bell", "--stochastic"]
    bells = {name for name, meta in META.items() if meta["family"] == "bell" and meta.get("stochastic")}
    assert not bells
    assert main(["list", "surrogate", *words]) == 0
    assert lines_naming(capsys.readouterr().out, "--stochastic", "--family bell")
    assert names(capsys, *words) == set()


def test_other_groups_list_as_before(capsys: Capture) -> None:
    """Name and line of each file."""
    assert main(["list", "neuron"]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = {path.stem for path in (conf_dir() / "neuron").glob("*.yaml")}
    assert {line.split()[0] for line in lines} == files


def test_show_of_a_preset(own: str, capsys: Capture) -> None:
    """Library, version, call, canonical form, conversion and bug, each in its row."""
    assert main(["show", "surrogate/madeup/flat", own]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line)
    found = {name: text.strip() for name, text in rows.items()}
    expected: dict[str, Any] = {
        "library": "madeup 1.2",
        "its call": "madeup.flat()",
        "canonical": "surrogate/constant",
        "conversion": "slope is slope",
        "known bug": "forgets | all",
    }
    assert expected.items() <= found.items()
    assert main(["show", "surrogate/madeup/fast", own]) == 0
    assert "known bug" not in capsys.readouterr().out


def test_show_of_a_canonical_entry_names_its_presets(own: str, capsys: Capture) -> None:
    """fast_sigmoid knows the made-up one, atan does not."""
    assert main(["show", "surrogate/fast_sigmoid", own]) == 0
    assert lines_naming(capsys.readouterr().out, "madeup.fast(slope=10)", "surrogate=madeup/fast")
    assert main(["show", "surrogate/atan", own]) == 0
    assert "madeup" not in capsys.readouterr().out


def test_a_wrong_name_is_answered_from_its_own_folder(capsys: Capture) -> None:
    """A canonical name by canonical names, a preset's by those of its library, never by all of them."""
    assert main(["show", "surrogate/atann"]) == 2
    canonical = capsys.readouterr().err
    assert main(["show", "surrogate/snntorch/atann"]) == 2
    preset = capsys.readouterr().err
    assert "did you mean 'atan'" in canonical
    assert "snntorch/" not in canonical
    assert lines_naming(preset, "'snntorch/atan'")
    assert "spyx/" not in preset
    assert "triangle" not in preset
