"""Runs: networks, neurons, rules and optimisers by overrides, on every engine that covers them and as replicas."""

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fastspiking.choose import ENGINES
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.records.spec import RunSpec
from sgbench.replicas.grouping import why_alone
from sgbench.training.build import build
from tests.search_engines.lock_step import alone, compare, side_by_side
from tests.search_engines.loops import loops_compiled, loops_in_python
from tests.search_engines.outcome import Outcome

CONF = Path(__file__).parent / "conf"
"""With an entry of somebody's own."""
OWN = "tests.search_engines.own.Ramped"
FAST = [engine for engine in ENGINES if engine != "reference"]


@dataclass(frozen=True)
class Run:
    """Trains one run on every engine that covers it, and several of its seeds as replicas.

    `replicas`: trained side by side; none where there is one. `compiled`: whether loops are compiled, which takes
    seconds.
    """

    words: tuple[str, ...]
    replicas: int
    compiled: bool

    def __str__(self) -> str:
        beside = [f"({self.replicas} replicas)"] if self.replicas > 1 else []
        return " ".join([*self.words, *beside, *(["(compiled)"] if self.compiled else [])])

    def check(self) -> Outcome:
        """Compare every engine with the reference, and replicas with the same runs alone."""
        with tempfile.TemporaryDirectory() as folder:
            loops = loops_compiled(Path(folder) / "loops") if self.compiled else loops_in_python()
            with loops:
                return self._checked(folder)

    def _checked(self, folder: str) -> Outcome:
        try:
            spec = compose([*self.words, f"paths.runs_dir={folder}"], config_dirs=[CONF], allow_targets=[OWN])
            build(on(spec, "reference"))
        except InputError as error:
            return Outcome(refusal=str(error))
        compared = 0
        for engine in engines_of(spec):
            compared += 1
            off = compare([alone(on(spec, "reference"))], alone(on(spec, engine)))
            if off is not None:
                return Outcome(compared, f"engine={engine}: {off}")
        if self.replicas > 1 and why_alone(spec) is None:
            specs = [member(spec, place) for place in range(self.replicas)]
            compared += 1
            off = compare([alone(on(each, "reference")) for each in specs], side_by_side(specs))
            if off is not None:
                return Outcome(compared, f"replicas: {off}")
        return Outcome(compared)


def on(spec: RunSpec, engine: str) -> RunSpec:
    """Return the same run on another engine, be it one that no override chooses."""
    return spec.model_copy(update={"engine": engine})


def member(spec: RunSpec, place: int) -> RunSpec:
    """Return the same run with another seed and learning rate, as a sweep would have it."""
    parameters = spec.method.parameters
    lr = float(parameters["optimizer"]["lr"]) * (1 + place)  # type: ignore[arg-type]
    method = spec.method.model_copy(
        update={"parameters": {**parameters, "optimizer": {**parameters["optimizer"], "lr": lr}}}
    )
    return spec.model_copy(update={"seed": place, "method": method})


def engines_of(spec: RunSpec) -> list[str]:
    """List `auto` and the engines that cover the whole network and are not what `auto` takes."""
    chosen = build(spec).engine.name
    names = ["auto"]
    for engine in FAST:
        with contextlib.suppress(InputError):
            build(on(spec, engine))
            names += [engine] if engine != chosen else []
    return names
