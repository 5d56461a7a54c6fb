"""Words spoken by the speech synthesiser espeak-ng."""

import re
import shutil
import subprocess
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError

PROGRAM = "espeak-ng"
RATE_HZ = 22050
HEADER_BYTES = 44  # of the .wav stream that espeak-ng writes; the lengths in its header are not filled in
REMEDY = "install it, on Debian: apt-get install espeak-ng"
TIMEOUT_S = 30


class Saying(NamedTuple):
    """Describes one word and the voice that is to speak it."""

    word: str
    language: str  # e.g. "de"
    variant: str  # espeak-ng's voice variant, e.g. "f2"
    pitch: int  # 0 to 99
    pitch_range: int  # 0 to 99
    words_a_minute: int  # speed of speech


def version() -> str:
    """Return the version of espeak-ng on this machine, e.g. "1.52.0"."""
    if shutil.which(PROGRAM) is None:
        raise InputError(f"{PROGRAM} is not installed; {REMEDY}")
    output = _run([PROGRAM, "--version"]).decode(errors="replace")
    match = re.search(r"\d+(\.\d+)+", output)
    if match is None:
        raise InputError(f"{PROGRAM} --version says {output.strip()[:80]!r}, no version; {REMEDY}")
    return match[0]


def say(saying: Saying) -> NDArray[np.int16]:
    """Generate the sound of a word with espeak-ng, 16 bits at 22050 Hz; the same version gives the same samples."""
    voice = f"{saying.language}+{saying.variant}"
    options = {"-v": voice, "-p": saying.pitch, "-P": saying.pitch_range, "-s": saying.words_a_minute}
    arguments = [str(text) for option in options.items() for text in option]
    data = _run([PROGRAM, *arguments, "-z", "--stdout", saying.word])
    if data[:4] != b"RIFF" or int.from_bytes(data[24:28], "little") != RATE_HZ:
        raise InputError(f"{PROGRAM}: voice {voice} gives no sound of {RATE_HZ} Hz; {REMEDY}")
    sound = np.frombuffer(data[HEADER_BYTES:], "<i2")
    if not sound.any():
        raise InputError(f"{PROGRAM}: voice {voice} says nothing for {saying.word!r}; {REMEDY}")
    return sound


def _run(command: list[str]) -> bytes:
    """Return what the program writes; InputError if it is missing, fails or takes too long."""
    try:
        # This module chooses the program and its options; only the word is a data set's.
        return subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S).stdout  # noqa: S603
    except FileNotFoundError:
        raise InputError(f"{PROGRAM} is not installed; {REMEDY}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{PROGRAM}: {' '.join(command[1:])} failed ({type(error).__name__}); {REMEDY}") from error
