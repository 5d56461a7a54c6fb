"""`sgbench export` and its words; what it writes is read by others in `tests/peers/test_library_command.py`."""

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
    assert capsys.readouterr().err == ("sgbench: error: NIR needs the package nir; pip install 'sgbench[nir]'\n")


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--for snntorch|spikingjelly|norse|sinabs|nir or a chip, with --to FILE, is needed; or --nir FILE.nir"),
        (["--for", "norse"], "with --to FILE, is needed"),
        (["--for", "nir", "--to", "a.nir", "--nir", "b.nir"], "--nir FILE.nir alone"),
        (["--for", "norse", "--to", "a.py", "--step", "euler"], "--step: is of NIR files alone"),
        (["--for", "norse", "--to", "a.py", "--unit-resistance"], "--unit-resistance: is of NIR files alone"),
        (["--for", "norse", "--to", "a.pt"], "--to a.pt: a file that ends in .py is needed"),
        (["--for", "loihi1", "--to", "a.py"], "--to a.py: a file that ends in .npz is needed"),
        (["--for", "loihi", "--to", "a.npz"], "--for loihi: no such reader; did you mean"),
        (["--for", "horowitz_45nm", "--to", "a.npz"], "--for horowitz_45nm: states no limits of a chip"),
    ],
)
def test_words_that_do_not_fit_are_refused(words: list[str], message: str, capsys: Any) -> None:
    """Expected: exit code 2 and one line that says what is needed."""
    assert main(["export", "runs", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
