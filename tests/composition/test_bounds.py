"""Files of somebody else cannot keep a command busy: formulas and aliases have bounds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from sgbench.composition import catalogue
from sgbench.composition.catalogue import MOST_VALUES, require_bounded
from sgbench.composition.compose import LONGEST, compose, formula
from sgbench.errors import InputError, one_printable_line
from sgbench.paths import OWN_CONF_FOLDER
from tests.messages import raises_naming

LEVELS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
BOMB = f"a0: &a0 [{', '.join('0' * 10)}]\n{LEVELS}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2**3", 8),
        ("-2**2", -4),
        ("2**-1", 0.5),
        ("sqrt(n) * pi / 2", 1.5 * math.pi),
        ("(n + 1)**2 - +1", 99),
        ("2.5e0**2", 6.25),
    ],
)
def test_a_formula_has_the_value_that_python_gives(text: str, expected: float) -> None:
    """By hand; whole where Python's is. Must match: `eval` of the same text."""
    value = formula(text, "n", 9)
    assert value == expected == eval(text, {"sqrt": math.sqrt, "pi": math.pi, "n": 9})  # noqa: S307 - typed above
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9**9**9**9", "no value"),
        ("[1]*10**9", "numbers"),
        ("'a'*10**9", "numbers"),
        ("(-8)**0.5", "no value"),
        ("1e999", "it is inf"),
        ("1e200*1e200", "it is inf"),
        ("exp(1)", "sqrt"),
        ("sqrt(1, 2)", "sqrt"),
        ("x + 1", "x: "),
        ("1 +", "numbers"),
        ("True + 1", "numbers"),
        ("1j * 2", "numbers"),
        ("n.real", "numbers"),
        ("1" + "+1" * LONGEST, f"{LONGEST} characters"),
    ],
)
def test_a_formula_without_a_number_is_refused(text: str, said: str) -> None:
    """At once and in one line, in the call and as a reference in a file."""
    with raises_naming(InputError, said):
        formula(text, "n", 2)


def test_a_formula_of_a_file_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`clip_norm` of an experiment of one's own; must differ: a number."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / OWN_CONF_FOLDER / "experiment" / "case.yaml"
    path.parent.mkdir(parents=True)
    for text, said in (("9**9**9**9", "no value"), ("[1]*10**9", "numbers"), ("exp(1)", "sqrt")):
        path.write_text(f"# @package _global_\nclip_norm: ${{formula:'{text}'}}\n")
        with raises_naming(InputError, "clip_norm", said) as told:
            compose(["experiment=case"])
        assert len(one_printable_line(told.value)) < 400
    path.write_text("# @package _global_\nclip_norm: ${formula:'2**3 / 16'}\n")
    assert compose(["experiment=case"]).method.clip_norm == 0.5


@pytest.mark.parametrize("group", ["experiment", "surrogate"])
def test_aliases_that_unfold_without_end_are_refused(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine lines of ten each are 10^9 values: a run and a look at the entry end in one line."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / OWN_CONF_FOLDER / group / "case.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(BOMB)
    with raises_naming(InputError, str(path), f"{MOST_VALUES:,}", "write them out"):
        compose([f"{group}=case"])
    with raises_naming(InputError, str(path), f"{MOST_VALUES:,}"):
        catalogue.entry(group, "case")


def test_aliases_are_counted_as_often_as_they_stand_there() -> None:
    """By hand: 10^5 values are too many, 10^4 are not; merged keys count, and what holds itself has no end."""
    few = "".join(BOMB.splitlines(keepends=True)[:4])
    require_bounded(few)
    for text in (
        "".join(BOMB.splitlines(keepends=True)[:5]),
        "a: &a [*a]",
        "a0: &a0 {k: 1}\n"
        + "".join(f"a{n}: &a{n} {{'<<': [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 7)),
    ):
        with pytest.raises(yaml.YAMLError, match="unfold"):
            require_bounded(text)


def test_a_byte_order_mark_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra reads no `# @package` behind it, which ended in a line about another key."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / OWN_CONF_FOLDER / "experiment" / "case.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("\ufeff# @package _global_\nclip_norm: 1\n", encoding="utf-8")
    with raises_naming(InputError, str(path), "byte order mark"):
        compose(["experiment=case"])
