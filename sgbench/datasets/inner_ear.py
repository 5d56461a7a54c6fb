"""Sound as spikes of hundreds of channels: envelopes of gammatone bands, found in the frequency domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.gammatone import MICRO, Floats, Ints, evenly_heard_hz, fired, levelled

GRID = 2.0**16  # what drives a neuron is a whole number of such parts, so that processors agree on its spikes
ERB_AT_0_HZ, ERB_KNEE = 24.7, 0.00437  # bandwidth of Glasberg & Moore: 24.7 (1 + 0.00437 f) Hz
ORDER, WIDTH = 4, 1.019  # of a gammatone; its bandwidth in units of the equivalent rectangular one


@dataclass(frozen=True)
class InnerEar:
    r"""Models an inner ear with many channels: sound goes in, spikes come out.

    The sound is brought to a root mean square of `level`. The band of channel c is a gammatone of fourth order
    around :math:`f_c`, of which the analytic signal is taken; centres lie evenly on the scale of equivalent
    rectangular bandwidths. With the band's envelope once a step, cut to the frequencies that a step can hold,

    .. math:: B_c(f) = X(f) \left(1 + \mathrm{i}\,\frac{f - f_c}{b_c}\right)^{-4},
        \quad b_c = 1.019 \cdot 24.7 (1 + 0.00437 f_c),
        \qquad v \leftarrow v e^{-\Delta / \tau} + \kappa \sqrt{|B_c|}

    a neuron fires where :math:`v \ge 1` and its last spike is at least `refractory_s` ago; then v is 0. Nothing is
    random. In place of the hydrodynamic membrane, hair cells with a pool of transmitter and bushy cells of Cramer
    et al. stand a bank of filters, a square root and leaky neurons; frequencies, level, step and constants of the
    neurons are chosen here. Phases of low tones are lost.

    Source: Patterson et al. 1992, Auditory Physiology and Perception (gammatone); Glasberg & Moore 1990, Hearing
    Research 47 (bandwidths); Cramer et al. 2022, IEEE TNNLS 33(7) (the idea, and 700 channels).

    >>> ear = InnerEar(rate_hz=8000, high_hz=3000, channels=3)
    >>> [round(f) for f in ear.centres_hz()]
    [60, 737, 3000]
    >>> time_us, channel = ear.spikes([np.sin(2 * np.pi * 753 * np.arange(800) / 8000)])[0]
    >>> int(np.bincount(channel, minlength=3).argmax()), int(time_us.max()) < 100_000
    (1, True)
    """

    rate_hz: int = 22050  # samples a second of the sound
    low_hz: float = 60.0  # centre of the first channel
    high_hz: float = 9500.0  # of the last
    channels: int = 700
    level: float = 0.1  # root mean square of the sound
    step_s: float = 0.001  # Delta
    tau_s: float = 0.005
    gain: float = 1.1  # kappa
    refractory_s: float = 0.002

    def centres_hz(self) -> Floats:
        """Compute the channels' centre frequencies [Hz]."""
        return evenly_heard_hz(self.low_hz, self.high_hz, self.channels)

    def block(self) -> tuple[int, int]:
        """Return the fewest samples that fill whole steps, and how many steps those are."""
        samples_a_step = Fraction(self.rate_hz) * Fraction(round(self.step_s / MICRO), 10**6)
        return samples_a_step.numerator, samples_a_step.denominator

    def blocks(self, sound: NDArray[np.floating]) -> int:
        """Count the blocks that a sound fills, the last perhaps in part."""
        return -(-len(sound) // self.block()[0])

    def bands(self, blocks: int) -> tuple[Ints, NDArray[Any]]:
        """Return for sounds of this length which frequencies make up each channel, and their weights.

        Both are [channels, steps]: indices into the sound's real Fourier transform, and factors in the order of the
        inverse transform.
        """
        samples, steps = (count * blocks for count in self.block())
        spacing_hz = self.rate_hz / samples
        centre = self.centres_hz()[:, None]
        around = np.fft.ifftshift(np.arange(steps) - steps // 2)
        index = np.round(centre / spacing_hz).astype(np.int64) + around
        inside = (index > 0) & (index <= samples // 2)
        once = 1 / (1 + 1j * (index * spacing_hz - centre) / (WIDTH * ERB_AT_0_HZ * (1 + ERB_KNEE * centre)))
        weight = inside * once**ORDER * (2 * steps / samples)
        return np.clip(index, 0, samples // 2), weight

    def spikes(self, sounds: Sequence[Floats]) -> list[tuple[Ints, Ints]]:
        """Compute times [us] and channels of the spikes of each sound, in the order of time.

        Sounds of one length share the work; no sound's spikes depend on another.
        """
        counts = np.array([self.blocks(sound) for sound in sounds])
        found: dict[int, tuple[Ints, Ints]] = {}
        decay, rest = math.exp(-self.step_s / self.tau_s), round(self.refractory_s / self.step_s)
        for blocks in np.unique(counts).tolist():
            own = np.flatnonzero(counts == blocks).tolist()
            drive = self._drive([sounds[index] for index in own], blocks)
            spikes = fired(drive, decay, rest)
            for row, index in enumerate(own):
                step, channel = np.nonzero(spikes[:, row])
                time_us = step * round(self.step_s / MICRO)
                inside = time_us * self.rate_hz < len(sounds[index]) * 10**6
                found[index] = (time_us[inside], channel[inside])
        return [found[index] for index in range(len(sounds))]

    def _drive(self, sounds: Sequence[Floats], blocks: int) -> Floats:
        """Compute what drives each neuron in each step [steps, sounds, channels] of sounds of one length."""
        from scipy.fft import ifft, rfft

        frequency, weight = self.bands(blocks)
        samples, steps = (count * blocks for count in self.block())
        drive = np.empty((steps, len(sounds), self.channels))
        for index, sound in enumerate(sounds):
            padded = np.zeros(samples)
            padded[: len(sound)] = levelled(sound, self.level)
            band = np.asarray(ifft(np.asarray(rfft(padded))[frequency] * weight, axis=1))
            envelope = np.sqrt(np.real(band) ** 2 + np.imag(band) ** 2)
            drive[:, index] = np.round(GRID * self.gain * np.sqrt(envelope)).T / GRID
        return drive
