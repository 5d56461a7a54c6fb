"""The shapes of surrogates that the study of surrogates registered, and from what on a page speaks of them."""

SLOPE_AT_REST = {
    "triangle": 0.0,
    "gaussian": 0.06,
    "sigmoid": 0.11,
    "atan": 0.20,
    "fast_sigmoid": 0.30,
    "log_abs": 0.33,
}
"""The registered shapes along their axis: h(u = -1) at width 1 and peak 1."""
SHAPES = tuple(SLOPE_AT_REST)
LEARNS_POINTS = 50.0
"""Test accuracy above which a run has learnt something."""
MIN_SEEDS = 5
"""No interval is stated from fewer."""
REMEDY_WIDTHS = (0.05, 0.2, 0.5, 1.0, 4.0)
"""Widths at which remedies are tried, such as a cut gradient."""
