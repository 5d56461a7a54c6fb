"""Sound to spikes of hundreds of channels: envelopes of gammatone bands, computed in the frequency domain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.gammatone import MICRO, Floats, Ints, evenly_heard_hz, fired, levelled

GRID = 2.0**16  # drives of neurons are rounded to multiples of 1 / GRID, so that all processors agree on spikes
ERB_AT_0_HZ, ERB_KNEE = 24.7, 0.00437  # equivalent rectangular bandwidth: 24.7 (1 + 0.00437 f) Hz
ORDER, WIDTH = (4, 1.019)  # of a gammatone: order, and bandwidth b relative to the equivalent rectangular bandwidth


@dataclass(frozen=True)
class InnerEar:
    r"""Converts sound to spikes by a simple model of the inner ear with many channels.

    The sound is centred and scaled to a root mean square of `level`; X(f) is its Fourier transform. Channel c has a
    fourth-order gammatone band B_c around its centre frequency :math:`f_c`; centres are evenly spaced on the scale
    of equivalent rectangular bandwidths. The band is sampled as an analytic signal once a step of duration Delta,
    so it is cut to a width of 1 / Delta. Its magnitude drives a neuron of potential v:

    .. math:: B_c(f) = X(f) \left(1 + \mathrm{i}\,\frac{f - f_c}{b_c}\right)^{-4},
        \quad b_c = 1.019 \cdot 24.7 (1 + 0.00437 f_c),
        \qquad v \leftarrow v e^{-\Delta / \tau} + \kappa \sqrt{|B_c|}

    The neuron fires when :math:`v \ge 1` and its last spike is at least `refractory_s` ago; then v becomes 0.
    Nothing is random. The model of Cramer et al. has a hydrodynamic membrane, hair cells with a pool of transmitter
    and bushy cells instead of filters, a square root and leaky neurons. Frequencies, level, step and the neurons'
    constants are chosen here. The phase of low tones is lost.

    Source: Patterson et al. 1992, Auditory Physiology and Perception (gammatone); Glasberg & Moore 1990, Hearing
    Research 47 (bandwidths); Cramer et al. 2022, IEEE TNNLS 33(7) (the idea, and 700 channels).

    >>> ear = InnerEar(rate_hz=8000, high_hz=3000, channels=3)
    >>> [round(f) for f in ear.centres_hz()]
    [60, 737, 3000]
    >>> time_us, channel = ear.spikes([np.sin(2 * np.pi * 753 * np.arange(800) / 8000)])[0]
    >>> int(np.bincount(channel, minlength=3).argmax()), int(time_us.max()) < 100_000
    (1, True)
    """

    rate_hz: int = 22050  # sampling rate of the sound
    low_hz: float = 60.0  # centre frequency of the first channel
    high_hz: float = 9500.0  # centre frequency of the last channel
    channels: int = 700
    level: float = 0.1  # root mean square to which a sound is scaled
    step_s: float = 0.001  # Delta
    tau_s: float = 0.005  # time constant of the neurons
    gain: float = 1.1  # kappa
    refractory_s: float = 0.002  # time after a spike in which a neuron does not fire

    def centres_hz(self) -> Floats:
        """Compute the centre frequency of each channel [channels] [Hz]."""
        return evenly_heard_hz(self.low_hz, self.high_hz, self.channels)

    def block(self) -> tuple[int, int]:
        """Return the smallest number of samples that fills whole steps, and the number of those steps."""
        samples_per_step = Fraction(self.rate_hz) * Fraction(round(self.step_s / MICRO), 10**6)
        return samples_per_step.numerator, samples_per_step.denominator

    def blocks(self, sound: NDArray[np.floating]) -> int:
        """Count the blocks, as of `block`, that a sound fills; the last may be partly filled."""
        return -(-len(sound) // self.block()[0])

    def bands(self, blocks: int) -> tuple[Ints, NDArray[Any]]:
        """Return which frequencies of a sound of so many blocks make up each channel, and their weights.

        Both are [channels, steps]: indices into the sound's real Fourier transform, and complex weights, in the
        order that the inverse transform expects.
        """
        samples, steps = (count * blocks for count in self.block())
        spacing_hz = self.rate_hz / samples
        centre = self.centres_hz()[:, None]
        offset = np.fft.ifftshift(np.arange(steps) - steps // 2)  # from the centre frequency
        index = np.round(centre / spacing_hz).astype(np.int64) + offset
        inside = (index > 0) & (index <= samples // 2)
        bandwidth_hz = WIDTH * ERB_AT_0_HZ * (1 + ERB_KNEE * centre)
        one_pole = 1 / (1 + 1j * (index * spacing_hz - centre) / bandwidth_hz)
        weight = inside * one_pole**ORDER * (2 * steps / samples)
        return np.clip(index, 0, samples // 2), weight

    def spikes(self, sounds: Sequence[Floats]) -> list[tuple[Ints, Ints]]:
        """Return the times [us] and channels of the spikes of each sound, sorted by time.

        Sounds of one length are computed together; no sound's spikes depend on another.
        """
        counts = np.array([self.blocks(sound) for sound in sounds])
        found: dict[int, tuple[Ints, Ints]] = {}
        decay, refractory = math.exp(-self.step_s / self.tau_s), round(self.refractory_s / self.step_s)
        for blocks in np.unique(counts).tolist():
            of_length = np.flatnonzero(counts == blocks).tolist()
            drive = self._drive([sounds[index] for index in of_length], blocks)
            spikes = fired(drive, decay, refractory)
            for row, index in enumerate(of_length):
                step, channel = np.nonzero(spikes[:, row])
                time_us = step * round(self.step_s / MICRO)
                inside = time_us * self.rate_hz < len(sounds[index]) * 10**6
                found[index] = (time_us[inside], channel[inside])
        return [found[index] for index in range(len(sounds))]

    def _drive(self, sounds: Sequence[Floats], blocks: int) -> Floats:
        """Compute each neuron's drive in each step [steps, sounds, channels]; every sound fills `blocks` blocks."""
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
