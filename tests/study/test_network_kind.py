"""The kind of a run's network, which charts have as a field and no title has to tell."""

import pytest

from sgbench.composition.compose import compose
from study.reporting.evidence import network_kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["experiment=digits_deep_v1"], "4 hidden layers"),
        (["experiment=digits_deep_v1", "protocol.hidden=[64]"], "1 hidden layer"),
        (["experiment=braille_delta_v2"], "recurrent"),
    ],
)
def test_the_kind_is_that_of_the_composed_network(words: list[str], kind: str) -> None:
    """By hand, from the experiments' files."""
    assert network_kind(compose(words).method) == kind
