"""A generator of its own for each test, so that no test's numbers depend on which ran before."""

import numpy as np
import pytest


@pytest.fixture
def random() -> np.random.Generator:
    """Normal and uniform numbers, the same in every run."""
    return np.random.default_rng(0)
