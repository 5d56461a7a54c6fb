"""An attached reset with a high surrogate is warned of, at the height from which the studies saw harm."""

import pytest

import sgbench

WORDS = ("experiment=temporal_order", "dataset.samples=[20,20,10]", "trainer.progress=false")


@pytest.mark.parametrize(
    ("words", "is_warned"),
    [
        (("neuron.reset_gradient=attached", "surrogate=snntorch/sigmoid"), True),
        (("neuron.reset_gradient=detached", "surrogate=snntorch/sigmoid"), False),
        (("neuron.reset_gradient=attached", "surrogate=sigmoid", "width_fwhm=0.5"), False),
    ],
)
def test_a_high_peak_with_the_reset_attached_is_warned_of(words, is_warned):
    """By hand: snnTorch's sigmoid has slope 25 / 4 = 6.25 at its peak, ours 1; must differ: the same detached."""
    advice = sgbench.diagnose(*WORDS, *words, panels=("flow", "activity"), batches=1).advice
    warned = [line for line in advice if "reset is attached" in line]
    assert bool(warned) == is_warned
    assert all("6.25" in line and "neuron.reset_gradient=detached" in line for line in warned)
