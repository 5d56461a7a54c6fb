"""Finds which calls of one surrogate are the steps of one sequence in one layer, by torch's graph of operations.

A step's potential follows from that of the step before without a spike between them. What a layer gets from another
layer passes spikes, and two sequences have nothing but weights in common. So neither the order of calls nor that of
backward passes matters, however many layers and sequences share a surrogate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

MOST_NODES = 200
"""Nodes of the graph behind a potential within which the step before is looked for; the nearest are first."""
OF_THRESHOLD = ("SubBackward0", "RsubBackward1", "DivBackward0", "MulBackward0")
"""Operations that lead from a neuron's potential to u, the potential minus threshold."""


@dataclass(eq=False)
class SurrogateStep:
    """Holds what is known of one step: the step after it in its sequence, and its gradient while that is needed."""

    after: SurrogateStep | None = None
    gradient: Tensor | None = None
    is_first: bool = True
    """Whether the graph shows no step before it."""


class Sequences:
    """Gives each call of a surrogate the step that it belongs to.

    Calls without any graph of what came before, as of a neuron without memory, follow each other as they are made.
    A neuron may call its surrogate more than once in a step, as snnTorch's do for their reset.
    """

    def __init__(self) -> None:
        self.last: SurrogateStep | None = None
        self.is_pulled_back = False
        """Whether a backward pass has begun since the last call."""

    def step_of(self, u: Tensor) -> SurrogateStep:
        """Return the step of a call at potentials minus threshold u, and link it to the step before it."""
        if self.is_pulled_back:
            self.last, self.is_pulled_back = None, False
        if not u.requires_grad:  # no graph, and no backward pass
            return SurrogateStep()
        potentials = list(_potentials(u))
        for node, output in potentials[1:]:
            if (self, output) in node.metadata:  # the surrogate is called again in the same step
                return node.metadata[self, output]  # type: ignore[no-any-return]
        step = SurrogateStep()
        before, feeding = self._before(u)
        if before is not None:
            before.after, step.is_first = step, False
        elif self.last is not None and self.last.is_first and self.last not in feeding:
            self.last.after = step  # neurons without memory: steps follow each other as they are called
        for node, output in potentials:
            node.metadata[self, output] = step
        self.last = step
        return step

    def _before(self, u: Tensor) -> tuple[SurrogateStep | None, list[SurrogateStep]]:
        """Search torch's graph behind u, nearest nodes first; return the step before, or None, and steps that feed u.

        The step before is reached without passing a spike. Steps whose spikes are reached feed u: they are of other
        layers, or of this one's recurrence.
        """
        feeding: list[SurrogateStep] = []
        first: tuple[Any, int] = u.grad_fn, u.output_nr
        waiting, seen = deque([first]), {first}
        while waiting and len(seen) < MOST_NODES:
            node, output = waiting.popleft()
            step = None if node is None else node.metadata.get((self, output))
            if step is not None:
                return step, feeding
            slopes = getattr(node, "surrogate", None)  # of the node of a spike
            if slopes is None:
                new = [each for each in _inputs(node) if each not in seen]
                waiting.extend(new)
                seen.update(new)
            elif isinstance(getattr(slopes, "step", None), SurrogateStep):
                feeding.append(slopes.step)
        return None, feeding

    def keep(self, step: SurrogateStep, gradient: Tensor) -> None:
        """Store the gradient of a step, and drop that of the step after the next, which nobody needs any more."""
        self.is_pulled_back = True
        step.gradient = gradient
        if step.after is not None and step.after.after is not None:
            step.after.after.gradient = None


def _inputs(node: Any) -> list[tuple[Any, int]]:
    """List the nodes of the graph before a node, each with the number of its output; leaves are left out."""
    before = () if node is None else node.next_functions
    return [(each, output) for each, output in before if each is not None and not hasattr(each, "variable")]


def _potentials(u: Tensor) -> Iterator[tuple[Any, int]]:
    """Yield the graph's node of u, with the number of its output, and those before it up to the membrane potential."""
    nodes = [(u.grad_fn, u.output_nr)] if u.grad_fn is not None else []
    while len(nodes) == 1:
        yield nodes[0]
        node = nodes[0][0]
        nodes = _inputs(node) if node.name() in OF_THRESHOLD else []
