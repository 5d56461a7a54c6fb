"""Small data sets of random numbers in the published formats of larger ones, for tests of their readers."""

from __future__ import annotations

import struct
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from sgbench.datasets.braille import CLASSES, REPETITIONS, STEPS, TAXELS
from sgbench.datasets.braille import FILE as BRAILLE
from sgbench.datasets.idx_images import TEST, TRAIN, UNSIGNED_BYTES, Bytes
from sgbench.datasets.qtdb import CHANNELS as QTDB_CHANNELS
from sgbench.datasets.qtdb import FILES as QTDB
from sgbench.datasets.qtdb import STEPS as QTDB_STEPS
from sgbench.datasets.speech_commands import LISTS, WORDS

EVENT_RATE = 0.08  # events a step and channel


def to_idx(array: Bytes) -> bytes:
    """Write an array of bytes in the idx format."""
    return bytes([0, 0, UNSIGNED_BYTES, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_wav(path: Path, sound: NDArray[np.float64], rate_hz: int) -> None:
    """Write sound in [-1, 1) as a .wav file of one channel of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, len(sound), "NONE", ""))
        file.writeframes((sound * 32768.0).astype("<i2").tobytes())


def fake_speech_commands(folder: Path, *, speakers: int, seed: int) -> None:
    """Write each word once by each speaker, as short noise; speaker 0 validates, speaker 1 tests."""
    random = np.random.Generator(np.random.PCG64(seed))
    said = [f"{word}/{speaker:08x}_nohash_0.wav" for word in WORDS for speaker in range(speakers)]
    for name in [*said, "_background_noise_/hum.wav"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_wav(folder / name, random.uniform(-0.5, 0.5, 400), 16000)
    for speaker, file in enumerate(LISTS.values()):
        own = [name for name in said if f"/{speaker:08x}_" in name]
        (folder / file).write_text("\n".join([*own, ""]))


def fake_nmnist1100(folder: Path, *, train: int, test: int, seed: int) -> None:
    """Write so many recordings of each digit, of 50 events at random pixels, in the published format."""
    random = np.random.Generator(np.random.PCG64(seed))
    for part, count in (("Train", train), ("Test", test)):
        for digit in range(10):
            (folder / part / str(digit)).mkdir(parents=True)
            for number in range(count):
                x, y, p = (random.integers(0, high, 50) for high in (34, 34, 2))
                t = np.sort(random.integers(0, 300_000, 50))
                table = np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], 1).astype(np.uint8)
                name = f"{10 * number + digit + 1:05d}.bin"
                (folder / part / str(digit) / name).write_bytes(table.tobytes())


def fake_fsdd(folder: Path, *, speakers: Sequence[str], numbers: Sequence[int], seed: int) -> None:
    """Write short tones, of a height for each digit and speaker, under the published names."""
    random = np.random.Generator(np.random.PCG64(seed))
    (folder / "recordings").mkdir(parents=True)
    for place, speaker in enumerate(speakers):
        for digit in range(10):
            for number in numbers:
                time_s = np.arange(240 + 8 * number) / 8000
                tone = np.sin(2 * np.pi * (300 + 250 * digit + 20 * place) * time_s)
                sound = 0.3 * tone + 0.01 * random.standard_normal(len(time_s))
                write_wav(folder / "recordings" / f"{digit}_{speaker}_{number}.wav", sound, 8000)


def fake_idx_images(folder: Path, *, train: int, test: int, seed: int) -> None:
    """Write a small data set of the same format, with ten classes in turn."""
    random = np.random.Generator(np.random.PCG64(seed))
    for (images, labels), count in zip((TRAIN, TEST), (train, test), strict=True):
        pixels = (256 * random.random((count, 28, 28))).astype(np.uint8)
        for name, array in ((images, pixels), (labels, (np.arange(count) % 10).astype(np.uint8))):
            (folder / name.removesuffix(".gz")).write_bytes(to_idx(array))


def fake_qtdb(folder: Path, *, train: int, test: int, seed: int) -> None:
    """Write random events and waves in turn, the last of them unlabelled, in the same format."""
    random = np.random.Generator(np.random.PCG64(seed))
    for name, count in zip(QTDB, (train, test), strict=True):
        x = (random.random((count, QTDB_STEPS + 1, QTDB_CHANNELS)) < EVENT_RATE).astype(np.int16)
        x[:, QTDB_STEPS, 0] = -1
        wave = (np.arange(QTDB_STEPS + 1) // 20 + random.integers(0, 6, (count, 1))) % 6
        y = (wave[..., None] == np.arange(6)).astype(np.uint8)
        y[:, 1200:] = 0
        savemat(folder / name, {"x": x, "y": y}, do_compression=True)


def fake_braille(folder: Path, *, seed: int) -> None:
    """Write letters of slow random pressure in the same format."""
    random = np.random.Generator(np.random.PCG64(seed))
    letters = np.cumsum(random.integers(-9, 10, (CLASSES, 1, STEPS, TAXELS)), 2)
    noise = random.integers(-3, 4, (CLASSES, REPETITIONS, STEPS, TAXELS))
    x = np.clip(letters + noise + 60, 0, 255).reshape(-1, STEPS, TAXELS)
    y, repetition = np.divmod(np.arange(len(x)), REPETITIONS)
    x, y, repetition = (column.astype(np.uint8) for column in (x, y, repetition))
    np.savez_compressed(folder / BRAILLE, x=x, y=y, repetition=repetition)
