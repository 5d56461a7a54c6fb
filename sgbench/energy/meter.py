"""Energy that the host itself measures, where it has a meter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

RAPL = Path("/sys/class/powercap")
UJ_PER_J = 1e6
MJ_PER_J = 1e3


@dataclass(frozen=True)
class Meter:
    """Reads one counter of energy: its name, its reading in joules, and where it starts anew."""

    name: str
    read_j: Callable[[], float]
    wraps_at_j: float  # infinite where it never does


@dataclass(frozen=True)
class Reading:
    """Holds the energy that one meter counted while something ran; `idle_w` is its power while nothing did."""

    meter: str
    energy_j: float
    seconds: float
    idle_w: float

    @property
    def net_j(self) -> float:
        """Return the energy above the idle level [J]."""
        return self.energy_j - self.idle_w * self.seconds


def meters(rapl: Path = RAPL) -> tuple[list[Meter], list[str]]:
    """Return the meters that can be read here, and why others cannot.

    RAPL covers a processor's package, NVML a whole graphics card. A package's parts are left out: they are in it.
    """
    available: list[Meter] = []
    missing: list[str] = []
    packages = sorted(rapl.glob("intel-rapl:?")) if rapl.is_dir() else []
    if not packages:
        missing.append("RAPL: not available: the system offers no intel-rapl package")
    for package in packages:
        try:
            name = (package / "name").read_text().strip()
            wraps_at_j = float((package / "max_energy_range_uj").read_text()) / UJ_PER_J
            _rapl_j(package)
        except OSError as error:
            missing.append(
                f"RAPL: not available: {package.name}: {error.strerror}; its files need read access"
            )
        else:
            available.append(Meter(f"RAPL {name}", lambda package=package: _rapl_j(package), wraps_at_j))
    cards, reason = _nvml()
    available += cards
    if reason:
        missing.append(reason)
    return available, missing


def _rapl_j(package: Path) -> float:
    """Read the counter of a processor's package [J]."""
    return float((package / "energy_uj").read_text()) / UJ_PER_J


def _nvml() -> tuple[list[Meter], str | None]:
    """List the graphics cards with a counter of energy, and state why there are none."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return [], "NVML: not available: the package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
        cards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        for card in cards:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(card)
    except pynvml.NVMLError as error:
        return [], f"NVML: not available: {error}"

    def reader(card: object) -> Callable[[], float]:
        return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / MJ_PER_J

    return [Meter(f"NVML card {index}", reader(card), math.inf) for index, card in enumerate(cards)], None


class Metered:
    """Reads meters before and after something runs.

    Args:
        meters: the meters.
        idle_s: how long the idle level is measured first [s].
    """

    def __init__(self, meters: list[Meter], *, idle_s: float) -> None:
        self.meters = meters
        self.idle_w = [joules / idle_s for joules in _measure(meters, lambda: time.sleep(idle_s))]

    def run(self, work: Callable[[], None]) -> list[Reading]:
        """Call a function and return what each meter counted meanwhile."""
        began_s = time.perf_counter()
        joules = _measure(self.meters, work)
        seconds = time.perf_counter() - began_s
        return [
            Reading(meter.name, energy_j, seconds, idle_w)
            for meter, energy_j, idle_w in zip(self.meters, joules, self.idle_w, strict=True)
        ]


class Laps:
    """Holds what meters count between one reading and the next.

    A counter that starts anew is behind once: it must be read more often than that, so `lap` once an epoch.
    """

    def __init__(self, meters: list[Meter]) -> None:
        self.meters = meters
        self._last = [meter.read_j() for meter in meters]
        self.total_j = [0.0 for _ in meters]  # since the start

    def lap(self) -> list[float]:
        """Return the joules that each meter has counted since the last reading."""
        now = [meter.read_j() for meter in self.meters]
        passed = [
            _joules_between(meter, a, b) for meter, a, b in zip(self.meters, self._last, now, strict=True)
        ]
        self._last = now
        self.total_j = [total + joules for total, joules in zip(self.total_j, passed, strict=True)]
        return passed


def _measure(meters: list[Meter], work: Callable[[], None]) -> list[float]:
    """Return the energy that each meter counts while a function runs [J]."""
    laps = Laps(meters)
    work()
    return laps.lap()


def _joules_between(meter: Meter, before_j: float, after_j: float) -> float:
    """Compute the joules between two readings; a counter that is behind has started anew once."""
    return after_j - before_j if after_j >= before_j else after_j - before_j + meter.wraps_at_j
