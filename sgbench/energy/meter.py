"""Energy counters of this computer's processor (RAPL) and NVIDIA graphics cards (NVML)."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

RAPL = Path("/sys/class/powercap")
UJ_PER_J = 1e6  # microjoules
MJ_PER_J = 1e3  # millijoules


@dataclass(frozen=True)
class Meter:
    """Reads one energy counter of the hardware."""

    name: str
    read_j: Callable[[], float]  # returns the counter [J]
    wraps_at_j: float  # largest count, after which it starts from 0; infinite if it never does


@dataclass(frozen=True)
class Reading:
    """Holds the energy that one meter counted while a function ran, and its power while idle."""

    meter: str  # its name
    energy_j: float
    seconds: float  # that the function took
    idle_w: float  # power while idle

    @property
    def net_j(self) -> float:
        return self.energy_j - self.idle_w * self.seconds


def meters(rapl: Path = RAPL) -> tuple[list[Meter], list[str]]:
    """Return the energy meters of this computer, and a line for each kind that cannot be read.

    A RAPL meter covers a processor package with all its parts, an NVML meter a whole graphics card. `rapl` is the
    folder in which Linux offers RAPL counters.
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
            missing.append(f"RAPL: not available: {package.name}: {error.strerror}; its files need read access")
        else:
            available.append(Meter(f"RAPL {name}", lambda package=package: _rapl_j(package), wraps_at_j))
    cards, reason = _nvml()
    available += cards
    if reason:
        missing.append(reason)
    return available, missing


def _rapl_j(package: Path) -> float:
    return float((package / "energy_uj").read_text()) / UJ_PER_J


def _nvml() -> tuple[list[Meter], str | None]:
    """Return the meters of all graphics cards, or none and the reason why they cannot be read."""
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
    """Measures the energy of function calls, and first the idle power.

    `meters`: to read; `idle_s`: time for which the idle power is measured, during which the constructor sleeps [s].
    """

    def __init__(self, meters: list[Meter], *, idle_s: float) -> None:
        self.meters = meters
        self.idle_w = [joules / idle_s for joules in _measure(meters, lambda: time.sleep(idle_s))]

    def run(self, work: Callable[[], None]) -> list[Reading]:
        """Call the function `work` and return the energy that each meter counted during the call."""
        began_s = time.perf_counter()
        joules = _measure(self.meters, work)
        seconds = time.perf_counter() - began_s
        return [
            Reading(meter.name, energy_j, seconds, idle_w)
            for meter, energy_j, idle_w in zip(self.meters, joules, self.idle_w, strict=True)
        ]


class Laps:
    """Measures the energy from one call of `lap` to the next.

    Call `lap` at least once in each period of a counter, e.g. once an epoch: a second restart from 0 between two
    calls would go unnoticed.
    """

    def __init__(self, meters: list[Meter]) -> None:
        self.meters = meters
        self._last = [meter.read_j() for meter in meters]
        self.total_j = [0.0 for _ in meters]  # of each meter since the constructor

    def lap(self) -> list[float]:
        """Return the energy that each meter has counted since the last call, or since the constructor [J]."""
        now = [meter.read_j() for meter in self.meters]
        readings = zip(self.meters, self._last, now, strict=True)
        # A smaller second reading means that the counter restarted once.
        lap_j = [
            after_j - before_j + (meter.wraps_at_j if after_j < before_j else 0)
            for meter, before_j, after_j in readings
        ]
        self._last = now
        self.total_j = [total + joules for total, joules in zip(self.total_j, lap_j, strict=True)]
        return lap_j


def _measure(meters: list[Meter], work: Callable[[], None]) -> list[float]:
    """Return the energy that each meter counts while the function `work` runs [J]."""
    laps = Laps(meters)
    work()
    return laps.lap()
