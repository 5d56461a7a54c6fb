"""Count the calls from one room of the package into another while a command runs in this process.

    python -m tools.crossings board build --from leaderboards --protocol digits_v1

Rooms are those of docs/architecture.md. What a command starts in other processes is not counted.
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import sgbench
from sgbench.cli.main import main

PACKAGE, SHOWN = Path(sgbench.__file__).parent, 40


@cache
def room_of(file: str) -> str | None:
    """Name the room of a file: its folder, or itself where it lies in none; None outside of the package."""
    path = Path(file)
    if not path.is_relative_to(PACKAGE):
        return None
    place = path.relative_to(PACKAGE)
    return place.parent.as_posix() if len(place.parts) > 1 else place.stem


class Tracer:
    """Counts calls by the rooms of caller and callee, and by function."""

    def __init__(self) -> None:
        self.arrows: Counter[tuple[str, str]] = Counter()
        self.functions: Counter[tuple[str, str, str]] = Counter()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Note a call, as `sys.setprofile` reports it; a comprehension is no call of its own."""
        caller = frame.f_back
        if event != "call" or caller is None:
            return
        origin, target = room_of(caller.f_code.co_filename), room_of(frame.f_code.co_filename)
        if origin is not None and target is not None and origin != target:
            self.arrows[origin, target] += 1
            self.functions[origin, target, frame.f_code.co_qualname] += 1

    def count(self, work: Callable[[], int]) -> int:
        """Call `work` and return its result, with this tracer in every thread that it starts."""
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            return work()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


def report(tracer: Tracer) -> str:
    """Write the most frequent calls by rooms, and by function."""
    lines = [f"{sum(tracer.arrows.values()):,} calls across rooms on {len(tracer.arrows)} arrows"]
    lines += [f"{count:>9,}  {origin} -> {target}" for (origin, target), count in tracer.arrows.most_common(SHOWN)]
    lines += ["by function:"]
    for (origin, target, name), count in tracer.functions.most_common(SHOWN):
        lines.append(f"{count:>9,}  {origin} -> {target}: {name}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    counted = Tracer()
    code = counted.count(lambda: main(sys.argv[1:]))
    sys.stdout.write(report(counted))
    sys.exit(code)
