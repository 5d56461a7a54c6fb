"""Bad parameters of a surrogate are refused by name, with the range."""

import itertools
import math
import re

import pytest

from sgbench.errors import InputError
from sgbench.surrogates.base import NORMALISATIONS
from tests.catalogue.shapes import EXCLUSIVE, every_base, every_entry, every_exclusive_base, make, native_name
from tests.messages import raises_naming

BAD_NUMBERS = [1e300, 10**400, 1e-320, -1.0, 0, 0.0, math.nan, math.inf, -math.inf, "5", True, [1.0]]


def refusal(name, **values):
    """What an entry says to bad values; no refusal is told as None."""
    try:
        make(name, **values)
    except InputError as error:
        return str(error)
    return None


@every_entry
def test_each_entry_hands_on_what_its_base_refuses(name):
    """Expected: one bad value of each shared parameter is refused by name; all bad values once per base below."""
    values = {"scale": -1.0, "normalisation": "peak"} | dict.fromkeys(["width_fwhm"] * (name in EXCLUSIVE), -1.0)
    for key, value in values.items():
        others = {native_name(name): None} if key == "width_fwhm" else {}
        assert (refusal(name, **{key: value}, **others) or "").startswith(f"surrogate.{key}={value!r}: ")
    if name in EXCLUSIVE:
        native = native_name(name)
        with raises_naming(InputError, f"surrogate.{native}=", "surrogate.width_fwhm="):
            make(name, **{native: 2.0, "width_fwhm": 0.5})


@every_exclusive_base
def test_bad_steepness_and_width_are_refused_by_name(name):
    """Expected: an InputError that names the parameter and its value."""
    native = native_name(name)
    for value, (key, other) in itertools.product(BAD_NUMBERS, ((native, "width_fwhm"), ("width_fwhm", native))):
        said = refusal(name, **{"width_fwhm": None, native: None, key: value, other: None})
        start = f"surrogate.{key}={value!r}: a number in [1e-06, 1e+06]"
        assert (said or "").startswith(start), f"{name}, {key}={value!r}: {said}"


@every_base
def test_bad_scale_is_refused_by_name(name):
    """Expected: an InputError that names scale and its value."""
    for value in BAD_NUMBERS:
        said = refusal(name, scale=value)
        start = f"surrogate.scale={value!r}: a number in [1e-06, 1e+06]"
        assert (said or "").startswith(start), f"{name}, scale={value!r}: {said}"


@every_base
def test_unknown_normalisation_is_refused_by_name(name):
    """Expected: an InputError that lists the known ones."""
    words = re.compile(r"surrogate\.normalisation=.*one of peak1, area1, raw is needed")
    for value in ("peak", "", None, 1, ["peak1"]):
        said = refusal(name, normalisation=value)
        assert words.search(said or ""), f"{name}, normalisation={value!r}: {said}"


@every_exclusive_base
def test_exactly_one_of_steepness_and_width(name):
    """Expected: both and neither are refused, naming both parameters."""
    native = native_name(name)
    for steepness, width in ((2.0, 0.5), (None, None)):
        with raises_naming(InputError, f"surrogate.{native}=", "surrogate.width_fwhm="):
            make(name, **{native: steepness, "width_fwhm": width})


@pytest.mark.parametrize(("name", "refused"), [("constant", {"area1"}), ("zero", {"peak1", "area1"})])
def test_controls_refuse_what_cannot_be_one(name, refused):
    """Expected from mathematics: a constant's area is infinite; the zero slope has neither peak nor area."""
    for normalisation in NORMALISATIONS:
        if normalisation in refused:
            with pytest.raises(InputError, match=f"normalisation={normalisation}"):
                make(name, normalisation=normalisation)
        else:
            make(name, normalisation=normalisation)
