"""No timing of a contender that computes something else: what is compared, how far it may differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.contenders import Build, Contender
from benchmarks.workloads import Sizes, Task, make_task
from sgbench.errors import SgbenchError

BASELINE = "snntorch"
TRAINING_STEPS = 3
LOSS_ALLOWED = {torch.float32: 1e-5, torch.float64: 1e-9}  # relative
GRADIENT_ALLOWED = {torch.float32: 1e-4, torch.float64: 1e-9}  # of the largest entry of the tensor
RATE_FACTOR = 3.0  # of firing rates, for a model that is near but not equal
# Large enough for several chunks of time in the engines that have them; in float64 no spike is lost to rounding.
STRICT = {"steps": 200, "batch": 64, "inputs": 256, "hidden": 128}
# So few neurons and steps that a spike lost to rounding is a matter of one run in thousands.
TINY = {"steps": 20, "batch": 8, "inputs": 128, "hidden": 32}


class GateError(SgbenchError):
    """A contender does not compute what the baseline computes; nothing is timed."""


@dataclass(frozen=True)
class Finding:
    """Holds one comparison of a contender with the baseline."""

    contender: str
    where: str  # which copy of the workload
    what: str  # is compared
    difference: float  # relative
    allowed: float | None  # None: it is reported, and does not decide

    @property
    def fine(self) -> bool:
        """Return whether the difference is allowed; NaN is not."""
        return self.allowed is None or self.difference <= self.allowed

    def __str__(self) -> str:
        limit = "" if self.allowed is None else f" (allowed: {self.allowed:.0e})"
        return f"{self.contender}: {self.what} on the {self.where} differs by {self.difference:.1e}{limit}"


@dataclass(frozen=True)
class Start:
    """Holds losses and gradients at the beginning of a contender's training."""

    losses: list[float]
    gradients: dict[str, Tensor]  # of the first step

    @staticmethod
    def of(contender: Contender) -> Start:
        """Train a contender for `TRAINING_STEPS` steps."""
        losses = [contender.step()]
        gradients = contender.gradients()
        losses += [contender.step() for _ in range(TRAINING_STEPS - 1)]
        return Start(losses, gradients)


def check_copies(name: str, sizes: Sizes, builds: Mapping[str, Build], seed: int) -> list[Finding]:
    """Compare losses and gradients on smaller copies of a workload, strictly in float64 and again in float32."""
    findings = []
    for where, precision, limits in (("float64 copy", "float64", STRICT), ("tiny float32 copy", "float32", TINY)):
        task = make_task(name, sizes.at_most(**limits), precision=precision, seed=seed)
        baseline = builds[BASELINE](task)
        if min(baseline.rates()) == 0:
            raise GateError(
                f"gate: a layer of the {where} never fires, so it compares nothing; more steps or density help"
            )
        expected = Start.of(baseline)
        for contender, build in builds.items():
            if contender != BASELINE:
                findings += compare(contender, where, expected, Start.of(build(task)), task.dtype)
    return require(findings)


def check_real(task: Task, contenders: Mapping[str, Contender], rates: Mapping[str, list[float]]) -> list[Finding]:
    """Compare contenders on the workload that is timed: first losses of equal models, firing rates of others.

    Later losses and gradients are reported and do not decide: in float32 one spike lost to rounding moves them.
    """
    starts = {name: Start.of(contender) for name, contender in contenders.items()}
    findings = []
    for name, start in starts.items():
        if name == BASELINE:
            continue
        if contenders[name].same_model:
            findings += _first_decides(compare(name, "workload itself", starts[BASELINE], start, task.dtype))
        else:
            finite = 0.0 if all(math.isfinite(loss) for loss in start.losses) else math.inf
            findings.append(Finding(name, "workload itself", "a loss from a finite one", finite, 0.0))
            factor = _largest_factor(rates[BASELINE], rates[name])
            findings.append(Finding(name, "workload itself", "firing rate (factor)", factor, RATE_FACTOR))
    return require(findings)


def compare(name: str, where: str, expected: Start, actual: Start, dtype: torch.dtype) -> list[Finding]:
    """Compare losses one by one, and of each tensor of gradients the largest difference."""
    findings = [
        Finding(name, where, f"loss of step {step}", abs(ours - theirs) / max(abs(theirs), 1e-12), LOSS_ALLOWED[dtype])
        for step, (ours, theirs) in enumerate(zip(actual.losses, expected.losses, strict=True), 1)
    ]
    for tensor, theirs in expected.gradients.items():
        ours = actual.gradients.get(tensor)
        if ours is None or ours.shape != theirs.shape:
            difference = math.inf
        else:
            largest = theirs.abs().max().clamp(min=torch.finfo(dtype).tiny)
            difference = ((ours - theirs).abs().max() / largest).item()
        findings.append(Finding(name, where, f"gradient of {tensor}", difference, GRADIENT_ALLOWED[dtype]))
    return findings


def require(findings: list[Finding]) -> list[Finding]:
    """Return the findings if all are fine; else raise a `GateError` with the first wrong one of each contender."""
    failed: dict[str, Finding] = {}
    for finding in findings:
        if not finding.fine:
            failed.setdefault(finding.contender, finding)
    if failed:
        raise GateError("gate: " + "; ".join(map(str, failed.values())) + "; nothing was timed")
    return findings


def _first_decides(findings: list[Finding]) -> list[Finding]:
    """Return findings of which only the first one, that of the first loss, decides."""
    first, *others = findings
    return [first, *(replace(finding, allowed=None) for finding in others)]


def _largest_factor(expected: list[float], rates: list[float]) -> float:
    """Return the largest factor, up or down, between the firing rates of two contenders in any layer."""
    pairs = [(max(ours, 1e-12), max(theirs, 1e-12)) for ours, theirs in zip(rates, expected, strict=True)]
    return max(max(ours / theirs, theirs / ours) for ours, theirs in pairs)
