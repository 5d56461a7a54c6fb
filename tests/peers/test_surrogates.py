"""Presets against the installed libraries themselves, at the libraries' own defaults; `make test-peers` runs it.

Legend: u = membrane potential minus threshold, threshold 1.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.catalogue.test_presets import make, points
from tools import presets

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported
ROWS = {preset.entry: preset for preset in presets.read_presets()}
LEFT_OUT = {library: node.get("left_out", {}).keys() for library, node in presets.read_libraries().items()}
EPS = np.finfo(np.float64).eps


class Peer(NamedTuple):
    """A library of which every preset is compared."""

    module: str
    run: Callable[[Any, str, np.ndarray], tuple[np.ndarray, np.ndarray]]  # slopes and spikes of one name
    surrogates: Callable[[Any], set[str]]  # the names that it has
    loose: frozenset[str] = frozenset()  # names whose constants the library rounds to float32


def of_torch(fire: Callable[[Tensor], Tensor], u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and spikes of a differentiable step; slope 0 where nothing is differentiable."""
    v = torch.from_numpy(u).requires_grad_()
    spikes = fire(v)
    slope = torch.autograd.grad(spikes.sum(), v)[0] if spikes.requires_grad else torch.zeros_like(v)
    return slope.numpy(), spikes.detach().double().numpy()


def run_snntorch(module: Any, name: str, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A factory without arguments."""
    return of_torch(getattr(module, name)(), u)


def run_spikingjelly(module: Any, name: str, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A class without arguments; counts of spikes are of the potential, u + 1, and four at most."""
    if name == "MultiLevelSpikeCount":
        counts = module.MultiLevelSpikeCount(4)
        return of_torch(lambda v: counts(v + 1.0), u)
    return of_torch(getattr(module, name)(), u)


def run_norse(module: Any, name: str, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A method with the alpha of a neuron, or the triangle with its own."""
    if name == "triangle":
        return of_torch(module.triangle_fn, u)
    alpha = importlib.import_module("norse.torch.functional.lif").LIFParameters().alpha
    return of_torch(lambda v: module.threshold(v, name, float(alpha)), u)


def run_sinabs(module: Any, name: str, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A gradient function under the spike function of at most one spike."""
    slope = getattr(module, name)()
    spike = importlib.import_module("sinabs.activation").SingleSpike
    return of_torch(lambda v: spike.apply(v + 1.0, 1.0, slope), u)


def run_spyx(module: Any, name: str, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A factory without arguments, in JAX."""
    jax = importlib.import_module("jax")
    fire = getattr(module, name)()
    v = jax.numpy.asarray(u)
    assert v.dtype == np.float64
    spikes, back = jax.vjp(fire, v)
    return np.asarray(back(jax.numpy.ones_like(v))[0]), np.asarray(spikes, dtype=np.float64)


def defined(module: Any, kind: Callable[[Any], bool]) -> set[str]:
    """Public names of a kind that a module defines itself."""
    return {
        name
        for name, one in vars(module).items()
        if kind(one) and one.__module__ == module.__name__ and not name.startswith("_")
    }


def of_spikingjelly(module: Any) -> set[str]:
    """Subclasses of its base class."""
    base = module.SurrogateFunctionBase
    return defined(module, lambda one: inspect.isclass(one) and issubclass(one, base) and one is not base)


PEERS = {
    "snntorch": Peer("snntorch.surrogate", run_snntorch, lambda module: defined(module, inspect.isfunction)),
    "spikingjelly": Peer("spikingjelly.activation_based.surrogate", run_spikingjelly, of_spikingjelly),
    "norse": Peer(
        "norse.torch.functional.threshold",
        run_norse,
        lambda module: {word for word in inspect.getsource(module.threshold).split('"')[1::2] if word.isidentifier()},
        frozenset({"heavi_erfc"}),
    ),
    "sinabs": Peer(
        "sinabs.activation.surrogate_gradient_fn",
        run_sinabs,
        lambda module: defined(module, inspect.isclass),
        frozenset({"Gaussian", "MultiGaussian"}),
    ),
    "spyx": Peer("spyx.axn", run_spyx, lambda module: defined(module, inspect.isfunction) - {"heaviside"}),
}
# Not to be had from the installed version: an older one's, and one that cannot be called.
NOT_INSTALLED = {"norse/super_1_0", "snntorch/LSO"}
NOISE_BELOW = {"snntorch/SSO"}
SUBTRACTS = {"norse/tanh", "spikingjelly/Sigmoid"}  # 1 - tanh^2 and 1 - s
COMPARED = [name for name, row in ROWS.items() if row.library in PEERS and name not in NOT_INSTALLED]
every_peer = pytest.mark.parametrize("library", PEERS)
every_preset = pytest.mark.parametrize("name", COMPARED)


def module_of(library: str) -> Any:
    """A library's module of surrogates; the test is skipped where it is not installed."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed; make test-peers installs it")
    return importlib.import_module(PEERS[library].module)


@pytest.fixture(autouse=True)
def double_precision_in_jax() -> Iterator[None]:
    """JAX computes in float32 unless told otherwise."""
    if importlib.util.find_spec("jax") is None:
        yield
        return
    config = importlib.import_module("jax").config
    before = config.jax_enable_x64
    config.update("jax_enable_x64", True)
    yield
    config.update("jax_enable_x64", before)


@every_preset
def test_slope_is_the_library_s(name):
    """Expected, in float64 at 2009 points: relative error below 1e-12, or 1e-7 where a constant is float32.

    Where the library subtracts nearly equal numbers its own rounding is that fraction of its largest slope, or 16
    eps of it in float64. snnTorch's sigmoid is compared where its exp(-25 u)^2 is finite.
    """
    library, _, short = name.partition("/")
    surrogate, module = make(name), module_of(library)
    u = points(surrogate)
    u = u[np.abs(u) < (14 if name == "snntorch/sigmoid" else np.inf)]
    u = u[u > 0] if name in NOISE_BELOW else u
    theirs, _ = PEERS[library].run(module, short, u)
    loose = short in PEERS[library].loose
    rounding = (1e-7 if loose else 16 * EPS) * np.abs(theirs).max()
    subtracts = name in SUBTRACTS or (theirs < 0).any()
    np.testing.assert_allclose(
        surrogate.derivative(torch.from_numpy(u)).numpy(),
        theirs,
        rtol=1e-7 if loose else 1e-12,
        atol=rounding if subtracts else 1e-300,
    )


@pytest.mark.one_in(5)
@every_preset
def test_spikes_are_the_library_s(name):
    """Expected: the same wherever u is not 0; at 0 as the row's `forward` says, where ours is silent."""
    library, _, short = name.partition("/")
    u = np.concatenate([points(make(name)), [-1e-9, 1e-9, 0.0]])
    _, theirs = PEERS[library].run(module_of(library), short, u)
    ours = make(name)(torch.from_numpy(u)).numpy()
    off_threshold = u != 0
    assert (ours == theirs)[off_threshold].all()
    if make(name).output == "binary":
        assert ours[-1] == 0
        assert theirs[-1] == {"u > 0": 0, "u >= 0": 1}[ROWS[name].forward]


@every_peer
def test_version_is_that_of_the_table(library):
    """Expected: the rows were made from the version that is compared."""
    module_of(library)
    stated = {row.version for name, row in ROWS.items() if row.library == library and name in COMPARED}
    assert stated == {version(library)}


@every_peer
def test_nothing_of_the_library_is_forgotten(library):
    """Expected: each surrogate that the module defines is a preset or left out with a reason."""
    names = PEERS[library].surrogates(module_of(library))
    known = {row.name for row in ROWS.values() if row.library == library} | LEFT_OUT[library]
    assert names
    assert names <= known


# --- pinned bugs; where one of these fails, the library has changed: edit the row and its `bug`


def test_norse_super_ignores_alpha():
    """Pinned, must differ from Norse 1.0.0: alpha changes nothing in 1.1.0."""
    module = module_of("norse")
    u = np.array([0.1, 1.0])
    slopes = [of_torch(lambda v, alpha=alpha: module.threshold(v, "super", alpha), u)[0] for alpha in (1.0, 100.0)]
    assert (slopes[0] == slopes[1]).all()
    old = make("norse/super_1_0").derivative(torch.from_numpy(u)).numpy()
    assert slopes[1] / old == pytest.approx((1 + 100 * u) ** 2 / (1 + u) ** 2)


def test_spikingjelly_superspike_alpha_is_a_height():
    """Pinned, must differ from the paper, where it is a steepness."""
    module = module_of("spikingjelly")
    u = np.array([0.0, 0.5])
    assert of_torch(module.SuperSpike(alpha=3.0), u)[0] == pytest.approx([3.0, 3 / 1.5**2])


def test_spikingjelly_fourier_series_lacks_a_term():
    """Pinned: n = 3 gives two cosines."""
    module = module_of("spikingjelly")
    u = np.array([0.0, 0.5])
    expected = 0.5 * (np.cos(np.pi / 4 * u) + np.cos(3 * np.pi / 4 * u))
    assert of_torch(module.SquarewaveFourierSeries(n=3, T_period=8), u)[0] == pytest.approx(expected)


def test_spyx_custom_returns_u():
    """Pinned, must differ from its documentation, a straight-through estimator: the slope is u."""
    u = np.array([-2.0, 0.5])
    assert run_spyx(module_of("spyx"), "custom", u)[0] == pytest.approx(u)


def test_sinabs_periodic_exponential_is_steeper_above_threshold():
    """Pinned: at equal distance to a multiple of the threshold, above it the exponent is doubled."""
    module = module_of("sinabs")
    below, above = run_sinabs(module, "PeriodicExponential", np.array([-0.25, 0.25]))[0]
    assert above == pytest.approx(below**2)
