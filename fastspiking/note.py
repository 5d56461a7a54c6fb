"""A log message when numba compiles, which takes seconds."""

import logging
from typing import Any

from numba.core import event

log = logging.getLogger("fastspiking")


class CompileNote(event.Listener):
    """Logs a message the first time numba compiles a function that is not in its cache, and then the progress."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_logged = False

    def on_start(self, event: Any) -> None:
        """Log the message when numba first begins to compile."""
        if not self._is_logged:
            self._is_logged = True
            log.warning("%s", self._text)

    def on_end(self, event: Any) -> None:
        """Do nothing when numba has finished compiling."""

    def done(self, part: int, parts: int) -> None:
        if self._is_logged:
            log.warning("compiled: %d of %d parts", part, parts)
