"""Networks by their passing steps, and the page of where gradients point, counted by hand."""

from sgbench.records.files import to_json
from study.passing_steps.analysis.mechanism import FILE, Direction, DirectionsFile, by_steps, page


def direction(reset, steps, cosine, ratio=2.0):
    """One network of a task, with what was measured."""
    return Direction(
        task="order", shape="atan", width_fwhm=0.2, reset=reset, passing_steps=steps, cosine=cosine, norm_ratio=ratio
    )


def test_a_border_belongs_to_the_range_above():
    """By hand: of the borders .5, 2, 8 and 22, 0.5 lies in the second range and 22 in the last."""
    found = [direction("detached", steps, 0.5) for steps in (0.4, 0.5, 2.0, 21.9, 22.0)]
    assert [[one.passing_steps for one in group] for group in by_steps(found)] == [[0.4], [0.5], [2.0], [21.9], [22.0]]


def test_the_page_tells_medians_by_range_and_reset(tmp_path):
    """By hand: the median of .2, .4 and .9 is .4; without the file there is no page."""
    assert page(tmp_path) is None
    found = [direction("detached", 1.0, cosine) for cosine in (0.2, 0.9, 0.4)]
    found.append(direction("attached", 1.0, -0.5, 3.0))
    (tmp_path / FILE).write_bytes(to_json(DirectionsFile(directions=tuple(found))))
    text = page(tmp_path).text()
    assert "| 0.5 to 2 | 0.40 (3) | -0.50 (1) | 2.00 (3) | 3.00 (1) |" in text
    assert "4 networks" in text
