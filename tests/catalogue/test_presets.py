"""Presets: files as the table says, and slopes equal to the libraries' formulas.

Legend: u = membrane potential minus threshold.
"""

import importlib
import inspect
from collections.abc import Callable

import numpy as np
import pytest
import snntorch.surrogate
import torch
from torch import Tensor

from sgbench.composition.catalogue import entries
from sgbench.errors import InputError
from sgbench.surrogates.base import Surrogate
from tests.catalogue.library_formulas import SLOPES
from tests.entries import spec_with
from tests.messages import raises_naming
from tests.thinned import thinned
from tools import presets

ROWS = {preset.entry: preset for preset in presets.read_presets()}
ENTRIES = entries(presets.GROUP)
# Where a slope is the library's only on a part of the axis, by the row's own words.
DOMAINS = {
    "stork/CustomSpike_exponential": (-np.inf, 0.133 * np.log(100)),
    "snntorch/SSO": (0.0, np.inf),  # noise below
}
FAR = np.array([4.0, 7.5, 30.0, 1e3])
every_preset = pytest.mark.parametrize("name", ROWS)


def make(name: str, **values: object) -> Surrogate:
    """The surrogate that a run would get, with some values of one's own."""
    spec = spec_with({"surrogate": name}, {f"surrogate.{key}": value for key, value in values.items()})
    module, _, callee = spec.targets["surrogate"].rpartition(".")
    return getattr(importlib.import_module(module), callee)(**spec.method.parameters["surrogate"])


def points(surrogate: Surrogate) -> np.ndarray:
    """2001 points on |u| <= 3 and some far away, without those at which the slope jumps or has a corner."""
    u = np.concatenate([-FAR[::-1], np.linspace(-3, 3, 2001), FAR])
    kinks = np.array(surrogate.kinks or (np.inf,))
    return u[np.abs(u[:, None] - kinks).min(axis=1) > 1e-9]


def assert_slope(name: str, expected: Callable[[np.ndarray], np.ndarray]) -> None:
    """Relative error below 1e-12; where a slope crosses 0, below 1e-14 of its largest value."""
    surrogate = make(name)
    low, high = DOMAINS.get(name, (-np.inf, np.inf))
    u = points(surrogate)
    u = u[(u > low) & (u < high)]
    with np.errstate(over="ignore"):
        theirs = np.broadcast_to(expected(u), u.shape)
    ours = surrogate.derivative(torch.from_numpy(u)).numpy()
    crossing = 1e-14 * np.abs(theirs).max() if (theirs < 0).any() else 1e-300
    error = np.abs(ours - theirs)
    worst = np.nanargmax(error - 1e-12 * np.abs(theirs))
    assert (error <= 1e-12 * np.abs(theirs) + crossing).all(), (u[worst], ours[worst], theirs[worst])


# --- files


def test_files_are_what_the_table_says():
    """Expected: byte for byte; `make presets` writes them anew."""
    found = {path: path.read_text(encoding="utf-8") for path in presets.preset_files()}
    assert found == presets.texts()


def test_every_preset_is_an_entry_of_the_catalogue():
    """Expected: the nested entries, one a row."""
    assert {name for name in ENTRIES if "/" in name} == ROWS.keys()


@every_preset
def test_file_says_what_it_is(name):
    """Expected: library, version and call, the entry that it is a setting of, and how it became that."""
    meta = ENTRIES[name].meta
    for key in ("library", "version", "calls", "canonical", "conversion", "formula"):
        assert isinstance(meta[key], str), key
        assert meta[key]
    assert "/" not in meta["canonical"]
    assert "bug" in meta or not meta.get("legacy", False)


def test_nothing_is_both_a_preset_and_left_out():
    """Expected: what a library has is one or the other, and what is left out says why."""
    for library, node in presets.read_libraries().items():
        assert not node["presets"].keys() & node.get("left_out", {}).keys(), library
        assert all(len(reason) > 10 for reason in node.get("left_out", {}).values()), library


def test_row_with_a_foreign_parameter_is_refused():
    """Expected: an InputError that names the preset and what its entry takes."""
    canonical = ENTRIES["fast_sigmoid"]
    row = ROWS["snntorch/fast_sigmoid"]._replace(parameters={"alpha": 25.0})
    with raises_naming(InputError, "snntorch/fast_sigmoid", "['alpha']", "['slope']"):
        presets.yaml_tree(row, canonical)


# --- slopes


def test_every_preset_has_a_formula_of_its_own():
    """Expected: none without, none left over."""
    assert SLOPES.keys() == ROWS.keys()


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", thinned(ROWS, 3))
def test_slope_is_the_library_s(name):
    """Expected: the formula of the library's code, restated in numpy, in float64."""
    assert_slope(name, SLOPES[name])


@pytest.mark.parametrize("name", ["snntorch/atan", "norse/tanh", "stork/SuperSpike_rescaled"])
def test_width_word_moves_a_preset(name):
    """Expected: the width asked for, by the canonical entry's own definition; the height factor stays."""
    native, asked = make(name), make(name, width_fwhm=0.5)
    assert asked.fwhm == pytest.approx(0.5)
    assert asked.scale == native.scale
    assert native.fwhm != pytest.approx(0.5)


SNNTORCH = {
    name: getattr(snntorch.surrogate, name.split("/")[1])()
    for name in ROWS
    if name.startswith("snntorch/") and name not in ("snntorch/LSO", "snntorch/SSO")
}


def snntorch_slope(spike_grad: Callable[[Tensor], Tensor], u: np.ndarray) -> np.ndarray:
    """Gradient of the summed spikes in float64."""
    v = torch.from_numpy(u).requires_grad_()
    return torch.autograd.grad(spike_grad(v).sum(), v)[0].numpy()


@pytest.mark.parametrize(("name", "theirs"), SNNTORCH.items(), ids=SNNTORCH)
def test_slope_and_spikes_are_those_of_the_installed_snntorch(name, theirs):
    """Expected: snnTorch at its own defaults, wherever its sigmoid's exp(-25 u)^2 is finite in float64."""
    surrogate = make(name)
    u = points(surrogate)
    u = u[np.abs(u) < (14 if name == "snntorch/sigmoid" else np.inf)]
    slope = snntorch_slope(theirs, u)
    assert slope.any()
    np.testing.assert_allclose(surrogate.derivative(torch.from_numpy(u)).numpy(), slope, rtol=1e-12, atol=1e-300)
    spikes = theirs(torch.from_numpy(np.append(u, 0.0))).double()
    assert torch.equal(surrogate(torch.from_numpy(np.append(u, 0.0))), spikes)


def test_every_surrogate_of_snntorch_is_a_preset_or_left_out():
    """Expected: the factories that the module defines, none forgotten."""
    node = presets.read_libraries()["snntorch"]
    defined = {
        name
        for name, one in vars(snntorch.surrogate).items()
        if inspect.isfunction(one) and one.__module__ == "snntorch.surrogate"
    }
    assert defined == node["presets"].keys() | node["left_out"].keys()


# --- pinned: what is wrong in snnTorch 1.0; where one of these fails, edit the row and its `bug`


def test_snntorch_lso_raises():
    """Pinned: calling it raises TypeError."""
    with pytest.raises(TypeError):
        snntorch.surrogate.LSO()(torch.zeros(3, requires_grad=True))


def test_snntorch_sfs_keeps_the_wrong_side():
    """Pinned, must differ: the slope is 0 for |u| < B = 1, where the paper's is not, and not 0 beyond."""
    u = np.array([-2.0, -0.5, -0.05, 0.05, 0.5, 2.0])
    theirs = snntorch_slope(snntorch.surrogate.SFS(slope=25, B=1), u)
    assert theirs.astype(bool).tolist() == [False, False, False, False, False, True]
    paper = make("sparse_fast_sigmoid", window=1.0, slope=25.0)
    assert paper.derivative(torch.from_numpy(u)).bool().tolist() == [False, True, True, True, True, False]


def test_snntorch_spike_rate_escape_peaks_beyond_the_threshold():
    """Pinned: largest at u = 1, as the documented formula has it."""
    slopes = snntorch_slope(snntorch.surrogate.spike_rate_escape(), np.linspace(-3, 3, 601))
    assert np.linspace(-3, 3, 601)[slopes.argmax()] == pytest.approx(1.0)


def test_snntorch_spikes_are_float32():
    """Pinned, must differ: the dtype of u is lost there and kept here."""
    u = torch.ones(2, dtype=torch.float64)
    assert snntorch.surrogate.atan()(u).dtype == torch.float32
    assert make("snntorch/atan")(u).dtype == torch.float64


# --- what goes by one name and is not one thing


@pytest.mark.parametrize(
    ("one", "other", "u", "ratio"),
    [
        ("norse/super_1_0", "norse/super", 1.0, (2 / 101) ** 2),
        ("spikingjelly/SuperSpike", "stork/SuperSpike", 0.5, 11**2 / 1.5**2),
        ("mlx_snn/fast_sigmoid", "snntorch/fast_sigmoid", 0.2, 12.5),
        ("snnax/superspike_surrogate", "stork/CustomSpike_SuperSpike", 0.3, 4.0),
        ("spyx/arctan", "snntorch/atan", 0.0, 1 / np.pi),
        ("spyx/tanh", "norse/tanh", 0.0, 1.0),
        ("braintools/QPseudoSpike", "spikingjelly/QPseudoSpike", 1.5, 4.0),
        ("braintools/SoftSign", "spikingjelly/SoftSign", 0.0, 0.5),
        ("lava/spike", "research/se_adlif_slayer", 0.0, 5e-4),
    ],
)
def test_namesakes_differ(one, other, u, ratio):
    """Must differ, by the factor that a hand computation from both formulas gives."""
    first, second = (make(name).derivative(torch.tensor(u, dtype=torch.float64)).item() for name in (one, other))
    assert first / second == pytest.approx(ratio, rel=1e-12)
