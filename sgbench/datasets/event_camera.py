"""A simulated event camera before a moving picture: a threshold on the change of log intensity at each pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]  # [pictures, rows, columns]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GRID = 2.0**20  # log intensities are whole numbers of such parts, so that processors agree on each event


@dataclass(frozen=True)
class EventCamera:
    r"""Models a square event camera before which a picture moves along straight lines.

    A picture's pixel value p has the log intensity :math:`\ln(p + d)`, d being what is dark; between pixels, log
    intensities are interpolated bilinearly, and beyond its edge all is dark. A pixel keeps the log intensity
    :math:`\ell` of its last event, and gives

    .. math:: n = \left\lfloor \frac{|\ln I - \ell|}{\theta} \right\rfloor, \qquad
        \ell \leftarrow \ell + n \theta\,\mathrm{sign}(\ln I - \ell)

    events in a step, spread evenly over it, of polarity 1 where the light rises. Thresholds :math:`\theta` differ
    between pixels, evenly within `mismatch` times the square root of 3, and are those of one camera. Nothing else
    is random: there are no events without a cause, and no time in which a pixel rests.

    Source: Lichtsteiner, Posch & Delbruck 2008, IEEE Journal of Solid-State Circuits 43(2) (pixels, and their
    mismatch of 2.1 %).

    >>> camera = EventCamera(side=6, magnify=1, threshold=0.5, dark=10.0, corners=((0, 0), (2, 0)), line_s=0.1)
    >>> dot = np.zeros((1, 2, 2), np.uint8)
    >>> dot[0, 0, 0] = 255
    >>> ((time_us, channel),) = camera.watch(dot)
    >>> np.unique(channel[channel >= 36] - 36).tolist(), np.unique(channel[channel < 36]).tolist()
    ([15, 16], [14, 15])
    """

    side: int  # pixels of a row and of a column
    magnify: int  # pixels of the camera for one of the picture
    threshold: float  # theta
    dark: float  # d, in units of pixel values
    corners: tuple[
        tuple[float, float], ...
    ]  # columns and rows by which the picture is moved, one after the other
    line_s: float  # duration of a line between two corners
    step_s: float = 0.002
    mismatch: float = 0.021  # standard deviation of thresholds, in their mean

    @property
    def duration_us(self) -> int:
        """Return how long a picture is watched [us]."""
        return round((len(self.corners) - 1) * self.line_s * 1e6)

    def path(self) -> Floats:
        """Return by how many columns and rows the picture is moved at the end of each step [steps + 1, 2]."""
        steps = round(self.line_s / self.step_s)
        whole = np.arange((len(self.corners) - 1) * steps + 1) / steps
        corners = np.array(self.corners, np.float64)
        return np.stack([np.interp(whole, np.arange(len(corners)), axis) for axis in corners.T], axis=1)

    def thresholds(self) -> Floats:
        """Return the threshold of each pixel [side, side]."""
        random = np.random.Generator(np.random.PCG64(0))
        even = 2 * random.random((self.side, self.side)) - 1
        return self.threshold * (1 + math.sqrt(3) * self.mismatch * even)

    def watch(self, pictures: Pictures) -> list[tuple[Ints, Ints]]:
        """Return times [us] and channels of each picture's events; channel (p H + y) W + x, p = 1 brighter.

        Pictures that come together share the work; none depends on another.
        """
        seen, polarity, count, step = self._crossings(pictures)
        picture, pixel = np.divmod(seen, self.side**2)
        step_us = round(self.step_s * 1e6)
        event = np.repeat(np.arange(len(count)), count)
        which = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
        time_us = step[event] * step_us + (which + 1) * step_us // (count[event] + 1)
        channel = polarity[event] * self.side**2 + pixel[event]
        order = np.lexsort((channel, time_us, picture[event]))
        ends = np.cumsum(np.bincount(picture[event], minlength=len(pictures)))[:-1]
        return list(zip(np.split(time_us[order], ends), np.split(channel[order], ends), strict=True))

    def _crossings(self, pictures: Pictures) -> tuple[Ints, Ints, Ints, Ints]:
        """Return picture and pixel (as one number), polarity, number of events and step of each change."""
        levels = np.round(GRID * np.log(np.arange(256) + self.dark)) / GRID
        scene = _enlarge(levels[pictures], self.magnify, float(levels[0]))
        theta = self.thresholds()
        path = self.path()
        last = self._shifted_view(scene, path[0], float(levels[0]))
        found: list[Sequence[Ints]] = []
        for step, offset in enumerate(path[1:]):
            change = self._shifted_view(scene, offset, float(levels[0])) - last
            where = np.flatnonzero(np.abs(change) >= theta)
            moved = change.reshape(-1)[where]
            own = theta.reshape(-1)[where % theta.size]
            count = np.floor(np.abs(moved) / own).astype(np.int64)
            last.reshape(-1)[where] += np.sign(moved) * count * own
            found.append((where, (moved > 0).astype(np.int64), count, np.full(len(where), step)))
        seen, polarity, count, step_of = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return seen, polarity, count, step_of

    def _shifted_view(self, scene: Floats, offset: Floats, dark: float) -> Floats:
        """Return log intensities of all pixels [pictures, side, side], with the scene moved from its centre."""
        column, row = np.floor(offset).astype(int)
        right, down = offset - np.floor(offset)
        height, width = scene.shape[1:]
        framed = np.full((len(scene), height + 2, width + 2), dark)
        framed[:, 1:-1, 1:-1] = scene
        mixed = (1 - down) * framed[:, 1:] + down * framed[:, :-1]
        mixed = (1 - right) * mixed[:, :, 1:] + right * mixed[:, :, :-1]
        seen = np.full((len(scene), self.side, self.side), dark)
        rows, own_rows = _overlap((self.side - height) // 2 + row, height + 1, self.side)
        columns, own_columns = _overlap((self.side - width) // 2 + column, width + 1, self.side)
        seen[:, rows, columns] = mixed[:, own_rows, own_columns]
        return seen


def _overlap(first: int, length: int, side: int) -> tuple[slice, slice]:
    """Return which part of a side a stretch covers, and which part of the stretch that is."""
    begin, end = max(first, 0), min(first + length, side)
    return slice(begin, end), slice(begin - first, end - first)


def _enlarge(pictures: Floats, times: int, dark: float) -> Floats:
    """Stretch pictures by bilinear interpolation; beyond their edge all is dark."""
    if times == 1:
        return pictures
    framed = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), constant_values=dark)
    for axis in (1, 2):
        length = (framed.shape[axis] - 2) * times
        source = (np.arange(length) + 0.5) / times + 0.5
        below = source.astype(int)
        share = (source - below).reshape([-1 if each == axis else 1 for each in range(3)])
        framed = (1 - share) * framed.take(below, axis) + share * framed.take(below + 1, axis)
    return framed
