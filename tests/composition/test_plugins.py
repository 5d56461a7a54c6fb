"""Launchers and sweepers of other packages: they may lie beside ours, and choose the points as they go."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import MISSING

from sgbench.composition.compose import compose, raw_config
from sgbench.composition.overrides import Overrides
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.sweeps.outcome import cost_to_minimise
from tests.leaderboard.factory import record
from tests.messages import raises_naming


@dataclass
class Sampler:
    """A part of a sweeper, in a group within its group."""

    _target_: str = "strangers.Sampler"
    seed: int = 0


@dataclass
class Searching:
    """What Optuna's sweeper registers, in small."""

    _target_: str = "strangers.Sweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "random"}])
    sampler: Any = MISSING
    direction: str = "minimize"
    custom_search_space: str | None = None
    params: Any = None


@pytest.fixture
def _strangers() -> Iterator[None]:
    """A sweeper with a nested group, as `pip install hydra-optuna-sweeper` registers one."""
    Plugins.instance()
    store = ConfigStore.instance()
    before = copy.deepcopy(store.repo)
    store.store(group="hydra/sweeper", name="searching", node=Searching, provider="strangers")
    store.store(group="hydra/sweeper/sampler", name="random", node=Sampler, provider="strangers")
    yield
    store.repo = before


@pytest.mark.usefixtures("_strangers")
def test_a_nested_group_of_another_plugin_leaves_all_as_it_was() -> None:
    """Expected: the same spec as without, where every command used to end in a traceback."""
    assert compose(["surrogate=triangle"]).method.choices["surrogate"] == "triangle"
    node = raw_config(Overrides.of(["hydra/sweeper=searching"])).hydra.sweeper
    assert (node._target_, node.sampler._target_) == ("strangers.Sweeper", "strangers.Sampler")


@pytest.mark.one_in(8)
@pytest.mark.usefixtures("_strangers")
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("hydra.sweeper.sampler._target_=os.system", "names os.system, which no installed plugin registers"),
        ("hydra.sweeper._target_=strangers.Sampler", "not an installed sweeper"),
        ("hydra.sweeper.custom_search_space=os.system", "functions are not called by name"),
        ("hydra.sweeper.direction=maximize", "use hydra.sweeper.direction=minimize"),
    ],
)
def test_what_a_plugin_does_not_register_is_refused(word: str, said: str) -> None:
    """A part of a sweeper may be one that is registered, and no other class."""
    with pytest.raises(InputError, match=said):
        raw_config(Overrides.of(["hydra/sweeper=searching", word]))


@pytest.mark.slow
@pytest.mark.usefixtures("_strangers")
def test_a_sweeper_that_searches_has_one_example_checked() -> None:
    """Expected: the point with the first value of each word; a wrong key stops before anything runs."""
    words = ["hydra/sweeper=searching", "optimizer.lr=interval(0.01,0.1)", "surrogate=triangle,atan", "seed=3"]
    planned = plan(words, multirun=True)
    assert planned.is_open
    assert planned.specs == (compose(["optimizer.lr=0.01", "surrogate=triangle", "seed=3"]),)
    assert planned.fixed_keys == {"hydra/sweeper", "seed"}
    with pytest.raises(InputError, match=r"optimizer\.bla"):
        plan(["hydra/sweeper=searching", "optimizer.bla=interval(0,1)"], multirun=True)
    with pytest.raises(InputError, match="use hydra/launcher=basic"):
        plan([*words, "hydra/launcher=replicas"], multirun=True)


def test_an_interval_needs_a_sweeper_that_searches() -> None:
    """Hydra's basic sweeper has no points of one."""
    with pytest.raises(InputError, match="hydra/sweeper=optuna"):
        plan(["optimizer.lr=interval(0.01,0.1)"], multirun=True)


@pytest.mark.parametrize(
    ("word", "package"),
    [
        ("hydra/launcher=ray", "hydra-ray-launcher"),
        ("hydra/launcher=submitit_slurm", "hydra-submitit-launcher"),
        ("hydra/sweeper=nevergrad", "hydra-nevergrad-sweeper"),
    ],
)
def test_a_missing_plugin_is_one_line_with_its_package(
    word: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is installed here, nothing of these is registered."""
    Plugins.instance()
    kind, _, name = word.removeprefix("hydra/").partition("=")
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"][kind], f"{name}.yaml", raising=False)
    with raises_naming(InputError, f"pip install {package}"):
        compose([word])


def test_the_cost_of_a_run_is_what_validation_selects_by() -> None:
    """Expected by hand: the loss, one minus the accuracy where that is monitored, infinity of a failure."""
    finished = record(accuracy=0.75)
    assert finished.validation is not None
    assert cost_to_minimise(finished) == finished.validation.loss
    protocol = finished.method.protocol.model_copy(update={"monitor": "validation_accuracy"})
    by_accuracy = finished.model_copy(update={"method": finished.method.model_copy(update={"protocol": protocol})})
    assert cost_to_minimise(by_accuracy) == 1 - (finished.validation.accuracy or 0)
    assert cost_to_minimise(finished.model_copy(update={"validation": None})) == math.inf
