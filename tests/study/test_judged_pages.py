"""Pages of judged surrogates are what their stored runs say; nothing is trained."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgbench.errors import InputError
from sgbench.study_runner.judge.trial import run_of
from tests.messages import raises_naming
from tools import judged


@pytest.mark.slow
def test_a_stored_candidate_gives_its_page() -> None:
    """Expected: the committed bytes of page, table and numbers; the picture up to what fonts of a machine change.

    Must differ: another candidate's runs, of which the first that is asked for is missing.
    """
    name = "sign_flip"
    entry = judged.entries()[name]
    made = judged.files_of(judged.judged(name, entry), {})
    for file, data in made.items():
        stored = judged.PAGES / name / file
        if file.endswith(".png"):
            pixels, expected = (np.asarray(Image.open(io.BytesIO(one)), float) for one in (data, stored.read_bytes()))
            assert np.abs(pixels - expected).mean() < 1
        else:
            assert data == stored.read_bytes(), file
    with raises_naming(InputError, "T1", "search"):
        judged.judged("cubed", entry)


def test_runs_that_learn_nothing_are_at_chance_with_silent_layers() -> None:
    """By hand: 10.0 % of 360 are at most 10 + 2 x 1.58 %, and so are 9.7 % of 359; one layer reaches 87 %."""
    runs = {key: run_of(record) for key, record in judged.stored_records("mpd_agl").items()}
    deep = [run for run in runs.values() if run.record.validation and len(run.record.validation.activity) == 4]
    assert len(deep) == sum(run.at_chance for run in runs.values()) == 11
    assert all({"hidden2", "hidden3"} <= run.silent and "hidden0" not in run.silent for run in deep)
    assert len(runs) == 37


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kep", "a2sg", "runs"], "kep a2sg runs: use no word"),
        (["train"], "train: use no word"),
        (["keep", "a2sg"], "keep a2sg: use no word"),
        (["keep", "nobody", "runs"], "keep nobody: no such candidate; Known"),
    ],
)
def test_words_that_say_nothing_write_nothing(words, said, monkeypatch, capsys):
    """Expected: exit code 2 and one line, with no page written."""
    monkeypatch.setattr(judged, "write_atomic", lambda *given: pytest.fail("a page is written"))
    assert judged.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


@pytest.mark.slow
def test_all_pages_are_what_their_stored_runs_say() -> None:
    """Expected: the committed bytes of all pages, the list of them and its tables; each page has a candidate."""
    made = judged.files()
    for name, data in made.items():
        if not name.endswith(".png"):
            assert data == (judged.PAGES / name).read_bytes(), name
    assert b"## At the calibrated width" in made["cubed/verdict.md"]
    assert {path.name for path in judged.PAGES.iterdir() if path.is_dir()} == set(judged.entries())
    assert {Path(name).parts[0] for name in made} == {*judged.entries(), "README.md"}
