"""Words spoken by the program espeak-ng, which is asked for sound and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError

PROGRAM = "espeak-ng"
RATE_HZ = 22050
HEADER_BYTES = 44  # of the .wav file that it writes, whose lengths are not known when it begins
REMEDY = "install it, on Debian: apt-get install espeak-ng"
MOST_S = 30


class Saying(NamedTuple):
    """Describes one word as it is to be spoken."""

    word: str
    language: str  # e.g. "de"
    variant: str  # of the voice, e.g. "f2"
    pitch: int  # 0 to 99
    pitch_range: int  # 0 to 99
    words_a_minute: int


def version() -> str:
    """Return the version of espeak-ng on this machine, e.g. "1.52.0".

    Raises:
        InputError: it is not installed; one line with the remedy.
    """
    if shutil.which(PROGRAM) is None:
        raise InputError(f"{PROGRAM} is not installed; {REMEDY}")
    said = _run([PROGRAM, "--version"]).decode(errors="replace")
    match = re.search(r"\d+(\.\d+)+", said)
    if match is None:
        raise InputError(f"{PROGRAM} --version says {said.strip()[:80]!r}, no version; {REMEDY}")
    return match[0]


def say(saying: Saying) -> NDArray[np.int16]:
    """Let espeak-ng speak a word; the same version gives the same samples, 22050 a second.

    Raises:
        InputError: the program is not there, or does not know the voice.
    """
    voice = f"{saying.language}+{saying.variant}"
    options = {"-v": voice, "-p": saying.pitch, "-P": saying.pitch_range, "-s": saying.words_a_minute}
    listed = [str(text) for pair in options.items() for text in pair]
    data = _run([PROGRAM, *listed, "-z", "--stdout", saying.word])
    if data[:4] != b"RIFF" or int.from_bytes(data[24:28], "little") != RATE_HZ:
        raise InputError(f"{PROGRAM}: voice {voice} gives no sound of {RATE_HZ} Hz; {REMEDY}")
    sound = np.frombuffer(data[HEADER_BYTES:], "<i2")
    if not sound.any():
        raise InputError(f"{PROGRAM}: voice {voice} says nothing for {saying.word!r}; {REMEDY}")
    return sound


def _run(command: list[str]) -> bytes:
    """Run a command and return what it writes."""
    try:
        # The program's name and options are this module's, words a data set's; no shell reads them.
        return subprocess.run(command, capture_output=True, check=True, timeout=MOST_S).stdout  # noqa: S603
    except FileNotFoundError:
        raise InputError(f"{PROGRAM} is not installed; {REMEDY}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(
            f"{PROGRAM}: {' '.join(command[1:])} failed ({type(error).__name__}); {REMEDY}"
        ) from error
