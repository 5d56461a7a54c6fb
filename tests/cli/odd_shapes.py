"""Surrogates of every awkward kind, and a folder of entries with them: what pictures and tables have to stand."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import yaml
from torch import Tensor

from sgbench.surrogates.base import Surrogate


class Odd(Surrogate):
    """Raw, with nothing declared but what a subclass says."""

    def __init__(self) -> None:
        super().__init__(normalisation="raw", scale=1.0)

    shape_peak: float | None = 1.0
    shape_area: float | None = 1.0
    shape_fwhm: float | None = 1.0


class Lopsided(Odd):
    """A ramp from -0.5 up to 1 at u = 1, without a primitive: 1 + (u - 1) / 1.5."""

    shape_fwhm: float | None = 0.75
    shape_area: float | None = 0.75
    shape_support: tuple[float, float] = (-0.5, 1.0)

    def shape(self, u: Tensor) -> Tensor:
        return torch.where((u >= -0.5) & (u <= 1.0), 1 + (u - 1) / 1.5, torch.zeros_like(u))


class Noisy(Odd):
    """A random height at each call: uniform in [0, 2] times a box, mean 1."""

    stochastic = True
    shape_support: tuple[float, float] = (-0.5, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def shape(self, u: Tensor) -> Tensor:
        height = 2 * torch.rand(u.shape, generator=self.generator, dtype=u.dtype)
        return height * (u.abs() <= 0.5)


class Signed(Odd):
    """Spikes of -1, 0 and 1 with thresholds at u = 0 and u = -2, and a box of width 1 around both."""

    output = "signed"
    shape_area: float | None = 2.0
    shape_support: tuple[float, float] = (-2.5, 0.5)
    shape_kinks: tuple[float, ...] = (-2.5, -1.5, -0.5, 0.5)
    shape_fwhm: float | None = None

    def shape(self, u: Tensor) -> Tensor:
        return ((u.abs() < 0.5) | ((u + 2).abs() < 0.5)).to(u.dtype)

    def shape_integral(self, u: Tensor) -> Tensor:
        return u.clamp(-0.5, 0.5) + (u + 2).clamp(-0.5, 0.5)

    def fire(self, u: Tensor) -> Tensor:
        return (u > 0).to(u.dtype) - (u < -2).to(u.dtype)


class Counting(Odd):
    """Spike counts: the next integer above u, at least 0; slope 1 where it counts."""

    output = "integer"
    shape_area: float | None = math.inf
    shape_support: tuple[float, float] = (-0.5, math.inf)
    shape_fwhm: float | None = None

    def shape(self, u: Tensor) -> Tensor:
        return (u >= -0.5).to(u.dtype)

    def shape_integral(self, u: Tensor) -> Tensor:
        return (u + 0.5).clamp(min=0)

    def fire(self, u: Tensor) -> Tensor:
        return u.ceil().clamp(min=0)


class Periodic(Odd):
    """cos^2(pi u), with no end and so no width."""

    shape_area: float | None = math.inf
    shape_fwhm: float | None = None

    def shape(self, u: Tensor) -> Tensor:
        return torch.cos(math.pi * u).square()

    def shape_integral(self, u: Tensor) -> Tensor:
        return u / 2 + torch.sin(2 * math.pi * u) / (4 * math.pi)


class Lobed(Odd):
    """A Mexican hat, (1 - u^2) exp(-u^2/2): negative beside the centre, area 0."""

    shape_area: float | None = 0.0
    shape_fwhm: float | None = None

    def shape(self, u: Tensor) -> Tensor:
        return (1 - u.square()) * torch.exp(-u.square() / 2)

    def shape_integral(self, u: Tensor) -> Tensor:
        return u * torch.exp(-u.square() / 2)


class RandomSpikes(Odd):
    """A logistic spike probability."""

    stochastic = True
    shape_peak: float | None = 0.25
    shape_fwhm: float | None = 2 * math.log(3 + 2 * math.sqrt(2))

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def shape(self, u: Tensor) -> Tensor:
        return torch.sigmoid(u) * torch.sigmoid(-u)

    def shape_integral(self, u: Tensor) -> Tensor:
        return torch.sigmoid(u)

    def fire(self, u: Tensor) -> Tensor:
        return (torch.rand(u.shape, generator=self.generator, dtype=u.dtype) < torch.sigmoid(u)).to(u.dtype)


class Nameless(Odd):
    """Nothing declared: no peak, no area, no width."""

    shape_peak: float | None = None
    shape_area: float | None = None
    shape_fwhm: float | None = None

    def shape(self, u: Tensor) -> Tensor:
        return torch.exp(-u.abs())


ODD = {kind.__name__.lower(): kind for kind in Odd.__subclasses__()}
TARGETS = [f"{kind.__module__}.{kind.__name__}" for kind in ODD.values()]
MADE_UP = {
    "line": "The fast sigmoid as the made-up library has it.",
    "library": "madeup",
    "version": "1.2",
    "calls": "madeup.fast(slope=10)",
    "canonical": "fast_sigmoid",
    "conversion": "slope is slope",
    "sources": ["madeup/fast.py"],
}
PRESETS = {
    "madeup/fast": MADE_UP,
    "madeup/flat": MADE_UP
    | {
        "calls": "madeup.flat()",
        "line": "A flat one.",
        "canonical": "constant",
        "bug": "forgets | all",
        "legacy": True,
    },
    "otherlib/Noisy": MADE_UP
    | {"library": "otherlib", "calls": "otherlib.Noisy()", "canonical": "noisy", "line": "Draws."},
}
META = {
    "lopsided": {"primitive": False, "compact_support": True},
    "noisy": {"stochastic": True, "primitive": False, "compact_support": True},
    "signed": {"compact_support": True},
    "randomspikes": {"stochastic": True},
    "nameless": {"primitive": False},
}
FAST_SIGMOID = {
    "_target_": "sgbench.surrogates.fast_sigmoid.FastSigmoid",
    "slope": 10.0,
    "width_fwhm": None,
    "normalisation": "peak1",
    "scale": 1.0,
}


def write_entries(folder: Path) -> list[str]:
    """A folder with an entry of each odd kind and three presets of two libraries; the words that allow them."""
    group = folder / "surrogate"
    group.mkdir(parents=True)
    for (name, kind), target in zip(ODD.items(), TARGETS, strict=True):
        meta = {"line": str(kind.__doc__).splitlines()[0], "family": "odd", "formula": "odd", "sources": ["here"]}
        tree = {"_target_": target, "meta": meta | META.get(name, {})}
        (group / f"{name}.yaml").write_text(yaml.safe_dump(tree))
    for name, meta in PRESETS.items():
        path = group / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        target = {
            "constant": {"_target_": "sgbench.surrogates.constant.Constant", "normalisation": "raw", "scale": 1.0}
        }
        noisy = {"_target_": TARGETS[list(ODD).index("noisy")]}
        tree = {"noisy": noisy, **target}.get(meta["canonical"], FAST_SIGMOID)
        path.write_text(yaml.safe_dump(tree | {"meta": meta}))
    return [f"--config-dir={folder}", *(f"--allow-target={target}" for target in TARGETS)]
