"""Whole reproductions, those that need no files and minutes at most; the figures are in docs/reproductions.md."""

import json

import pytest

from sgbench.cli.main import main


@pytest.mark.slow
@pytest.mark.parametrize("name", ["temporal_xor", "spytorch1", "store_recall"])
def test_a_reproduction_comes_to_a_verdict(name, tmp_path, capsys):
    """Expected: every figure measured, by one seed, whatever the verdict."""
    assert main(["reproduce", name, "--seeds=1", "--json", f"--root={tmp_path}"]) in (0, 3)
    (found,) = json.loads(capsys.readouterr().out)
    assert all(each["verdict"] in ("agrees", "does not agree") for each in found["figures"])
    assert all(each["seeds"] == 1 for each in found["figures"])


@pytest.mark.slow
def test_a_surrogate_learns_where_the_true_gradient_does_not(tmp_path, capsys):
    """Expected: a loss gap above 0.3 in three runs of SpyTorch's first tutorial; 0.49 in ten of a transcription."""
    main(["reproduce", "spytorch1", "--seeds=3", "--json", f"--root={tmp_path}"])
    (found,) = json.loads(capsys.readouterr().out)
    assert found["figures"][2]["verdict"] == "agrees"
