"""Saying that numba compiles, which takes seconds."""

from __future__ import annotations

import logging
from typing import Any

from numba.core import event

log = logging.getLogger("sgbench")


class CompileNote(event.Listener):
    """Says once that numba compiles, which it announces only for what is not in its cache, and how far it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_said = False

    def on_start(self, event: Any) -> None:
        """Note that numba begins to compile a loop."""
        if not self._is_said:
            self._is_said = True
            log.warning("%s", self._text)

    def on_end(self, event: Any) -> None:
        """Note that numba has finished compiling."""

    def done(self, part: int, parts: int) -> None:
        """Say which part of the loops is compiled, if any had to be."""
        if self._is_said:
            log.warning("compiled: %d of %d parts", part, parts)
