"""A strict reader of .wav files."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError

FULL_SCALE = 32768.0
BYTES = 2  # of a sample
MOST_S = 60.0  # longest sound that is read


def read_wav(path: Path, rate_hz: int) -> NDArray[np.float64]:
    try:
        with wave.open(str(path), "rb") as file:
            _require_form(file, path, rate_hz)
            count = file.getnframes()
            data = file.readframes(count)
    except (wave.Error, EOFError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or "it ends too early"
        raise InputError(f"{path}: no whole .wav file ({reason}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) != BYTES * count:
        raise InputError(f"{path}: holds {len(data) // BYTES} of {count} samples, cut off; fetch it again")
    if not count:
        raise InputError(f"{path}: holds no sound; fetch it again")
    return np.frombuffer(data, "<i2").astype(np.float64) / FULL_SCALE


def _require_form(file: Any, path: Path, rate_hz: int) -> None:
    """Raise InputError unless an open .wav file has one channel, 16 bits, this rate and at most 60 s."""
    form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
    if form != (1, BYTES, rate_hz):
        raise InputError(
            f"{path}: {form[0]} channels of {8 * form[1]} bits at {form[2]} Hz, not 1 of 16 at {rate_hz}; "
            f"it is another file than the published one"
        )
    if file.getnframes() > MOST_S * rate_hz:
        raise InputError(f"{path}: declares more than {MOST_S:g} s; it is another file than the published one")
