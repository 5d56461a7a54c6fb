"""Presets take their library's own parameters, exactly and at any value; ids stay."""

from __future__ import annotations

import math

import pytest
import torch

import sgbench
from sgbench.composition.compose import compose
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.surrogates.base import Surrogate
from tests.thinned import thinned_rows
from tools.presets import read_presets, texts

OWN = [preset for preset in read_presets() if preset.own]
U = torch.tensor([-1.3, -0.4, -0.01, 0.0, 0.02, 0.3, 0.9], dtype=torch.float64)


def sech2(x: torch.Tensor) -> torch.Tensor:
    """1 - tanh^2."""
    return 1 - x.tanh().square()


CALLS = [
    ("spikingjelly/PiecewiseQuadratic", {"alpha": 3.0}, lambda u: 3 * (1 - 3 * u.abs()).relu()),
    ("spikingjelly/PiecewiseExp", {"alpha": 3.0}, lambda u: 1.5 * torch.exp(-3 * u.abs())),
    ("spikingjelly/Rect", {"alpha": 0.7}, lambda u: 0.7 * (u.abs() < 0.5 / 0.7)),
    ("spikingjelly/SoftSign", {"alpha": 5.0}, lambda u: 2.5 / (1 + 5 * u.abs()) ** 2),
    ("norse/tanh", {"alpha": 3.0}, lambda u: sech2(3 * u)),
    ("norse/heavi_erfc", {"alpha": 2.0}, lambda u: 2 / math.sqrt(math.pi) * torch.exp(-((2 * u) ** 2))),
    ("stork/SuperSpike", {"beta": 10.0}, lambda u: 1 / (1 + 10 * u.abs()) ** 2),
    ("stork/SuperSpike_rescaled", {"beta": 3.0}, lambda u: 16 / (1 + 3 * u.abs()) ** 2),
    ("spyx/arctan", {"k": 3.0}, lambda u: 1 / (math.pi * (1 + (math.pi * 3 * u) ** 2))),
    ("spyx/boxcar", {"width": 1.0, "height": 0.25}, lambda u: 0.25 * (u.abs() < 0.5)),
    (
        "sinabs/Gaussian",
        {"sigma": 0.3, "grad_scale": 2.0},
        lambda u: 2 / (0.3 * math.sqrt(2 * math.pi)) * torch.exp(-((u / 0.3) ** 2) / 2),
    ),
    ("sinabs/SingleExponential", {"grad_width": 0.2}, lambda u: 5 * torch.exp(-u.abs() / 0.2)),
    ("snnax/piecewise_surrogate", {"beta": 0.25}, lambda u: (u.abs() < 0.25).double()),
    ("braintools/ReluGrad", {"alpha": 0.5, "width": 2.0}, lambda u: (1 - u.abs() / 2).relu()),
    ("research/se_adlif_slayer", {"alpha": 4.0, "c": 0.5}, lambda u: torch.exp(-4 * u.abs())),
    ("research/stbp_h4", {"a4": 0.3}, lambda u: torch.exp(-(u**2) / 0.6) / math.sqrt(0.6 * math.pi)),
]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(("name", "given", "slope"), thinned_rows(CALLS, 4))
def test_a_call_by_the_librarys_names_is_its_formula(name: str, given: dict[str, float], slope: object) -> None:
    """Expected: the library's code, restated here, at a value that is not the default."""
    made = sgbench.create(f"surrogate/{name}", **given)
    assert isinstance(made, Surrogate)
    torch.testing.assert_close(made.double().derivative(U), slope(U).double(), rtol=1e-6, atol=1e-9)  # type: ignore[operator]


@pytest.mark.slow
def test_defaults_by_names_are_the_numbers_of_the_table_and_name_no_method() -> None:
    """Of every preset with names of its own: resolved, the row's numbers; its own names are in no record."""
    assert len(OWN) > 80
    words = [f"surrogate={','.join(preset.entry for preset in OWN)}"]
    for preset, spec in zip(OWN, plan(words, multirun=True).specs, strict=True):
        found = spec.method.parameters["surrogate"]
        assert not preset.own.keys() & (found.keys() - preset.parameters.keys()), preset.entry
        for key, value in {**preset.parameters, "scale": preset.scale}.items():
            assert found[key] == pytest.approx(value, rel=1e-12), (preset.entry, key)


@pytest.mark.slow
def test_words_and_sweeps_take_the_librarys_names() -> None:
    """Must match: the same in our own words. A width of ours still goes before the library's slope."""
    ours = compose(["surrogate=spikingjelly/PiecewiseQuadratic", "surrogate.slope=3", "surrogate.scale=3"])
    theirs = compose(["surrogate=spikingjelly/PiecewiseQuadratic", "surrogate.alpha=3"])
    assert theirs.method == ours.method
    swept = plan(["surrogate=stork/SuperSpike", "surrogate.beta=10,20"], multirun=True).specs
    assert [spec.method.parameters["surrogate"]["slope"] for spec in swept] == [10, 20]
    wide = compose(["surrogate=stork/SuperSpike", "width_fwhm=0.5"]).method.parameters["surrogate"]
    assert (wide["slope"], wide["width_fwhm"]) == (None, 0.5)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("atan", {"slope": 2.0}, "did you mean 'alpha'"),
        ("triangle", {"alpha": 2.0}, "did you mean 'slope'"),
        ("stork/SuperSpike", {"betta": 2.0}, "did you mean 'beta'"),
        ("norse/circ", {"alpha": 0.0}, "has no value"),
        ("stork/SuperSpike", {"beta": "steep"}, "a number"),
    ],
)
def test_a_wrong_parameter_suggests_the_right_one(name: str, given: dict[str, object], said: str) -> None:
    """One line."""
    with pytest.raises(InputError, match=said):
        sgbench.create(f"surrogate/{name}", **given)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trainer.max_epochs=3", r"did you mean protocol\.epochs"),
        ("accelerator=gpu", r"did you mean trainer\.device"),
        ("trainer.gradient_clip_val=1", "did you mean clip_norm"),
    ],
)
def test_words_of_lightning_suggest_ours(word: str, said: str) -> None:
    """One line that names our key."""
    with pytest.raises(InputError, match=said):
        compose([word])


def test_files_are_those_of_the_table() -> None:
    """Expected: what `make presets` would write."""
    for path, content in texts().items():
        assert path.read_text() == content, path
