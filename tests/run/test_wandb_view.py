"""The saved report of a sweep: made without an account as far as that goes, which its panels do."""

from __future__ import annotations

import pytest

from sgbench.records.record import RunRecord, flat
from tools.wandb_view.report import HISTORIES, SCORE, SETTINGS, SPIKES, panels


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the package itself
def test_panels_show_keys_that_runs_have(finished: RunRecord) -> None:
    """Expected: the package's own form of each panel, with keys of the flat tree; the group as it reads it."""
    pytest.importorskip("wandb_workspaces")
    from wandb_workspaces import expr

    shown = [panel._to_model().model_dump_json() for panel in panels(SETTINGS, SCORE)]
    for key in (SCORE, SPIKES, *SETTINGS):
        assert key in flat(finished), key
        assert any(key in panel for panel in shown), key
    assert all(any(key in panel for panel in shown) for key in HISTORIES)
    assert "group" in str(expr.expr_to_filters("Group = 'mine'"))
