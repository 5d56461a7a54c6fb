"""Tests of two methods on many simulated tables at once; `test_simulation` holds them against the package's own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Tables = NDArray[np.float64]  # [trials, methods, seeds]


def residual_variance(tables: Tables) -> NDArray[np.float64]:
    """Pooled over methods [trials]."""
    trials, methods, seeds = tables.shape
    residual = tables - tables.mean(axis=2, keepdims=True)
    residual -= residual.mean(axis=1, keepdims=True)
    return (residual**2).reshape(trials, -1).sum(axis=1) / ((methods - 1) * (seeds - 1))


def pair(tables: Tables, a: int, b: int, *, pooled: bool) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Difference of two methods, its standard error, and the degrees of freedom."""
    _, methods, seeds = tables.shape
    difference = tables[:, a] - tables[:, b]
    if pooled:
        return (difference.mean(axis=1), np.sqrt(2 * residual_variance(tables) / seeds), (methods - 1) * (seeds - 1))
    return difference.mean(axis=1), difference.std(axis=1, ddof=1) / np.sqrt(seeds), seeds - 1


def p_values(tables: Tables, a: int, b: int, *, pooled: bool) -> NDArray[np.float64]:
    """Two-sided [trials]."""
    difference, error, degrees = pair(tables, a, b, pooled=pooled)
    return 2 * stdtr(degrees, -np.abs(difference) / np.maximum(error, 1e-300))


def equality_p(tables: Tables, a: int, b: int, margin: float, *, pooled: bool) -> NDArray[np.float64]:
    """Of two one-sided tests [trials]."""
    difference, error, degrees = pair(tables, a, b, pooled=pooled)
    return stdtr(degrees, -(margin - np.abs(difference)) / np.maximum(error, 1e-300))


def sphericity(tables: Tables) -> NDArray[np.float64]:
    """Greenhouse and Geisser's epsilon of each table [trials]."""
    residual = tables - tables.mean(axis=2, keepdims=True)
    residual -= residual.mean(axis=1, keepdims=True)
    covariance = residual @ residual.swapaxes(1, 2)
    total = np.trace(covariance, axis1=1, axis2=2)
    return total**2 / ((tables.shape[1] - 1) * (covariance**2).sum(axis=(1, 2)))
