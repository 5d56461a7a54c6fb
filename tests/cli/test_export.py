"""`sgbench export` where NIR is not installed; with it, see `tests/peers/test_nir_command.py`."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from sgbench.cli.main import main


def test_a_missing_package_is_one_line_with_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected: exit code 2 and how to install it."""
    real = importlib.import_module

    def without_nir(name: str, *args: Any, **options: Any) -> Any:
        if name == "nir":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(importlib, "import_module", without_nir)
    assert main(["export", "runs", "--nir", "net.nir"]) == 2
    assert capsys.readouterr().err == (
        "sgbench: error: NIR needs the package nir; pip install 'sgbench[nir]'\n"
    )
