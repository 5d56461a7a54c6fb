"""`sgbench run` with entries of one's own: allowed by name, never by themselves, and not a clean commit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sgbench.cli.main import main
from sgbench.errors import InputError
from tests.messages import lines_naming, raises_naming
from tests.rooms import ROOT
from tests.run.tiny import WORDS


def _own_surrogate(folder: Path) -> Path:
    """A user's surrogate in one Python file and one YAML file."""
    (folder / "my_surrogates.py").write_text(
        "from sgbench.surrogates.constant import Constant\n\n\n"
        "class Half(Constant):\n"
        "    def shape(self, u):\n"
        "        return 0.5 * super().shape(u)\n"
    )
    conf = folder / "my_conf" / "surrogate"
    conf.mkdir(parents=True)
    (conf / "half.yaml").write_text(
        "_target_: my_surrogates.Half\nnormalisation: raw\nscale: 1.0\nmeta:\n  line: Half of everything.\n"
    )
    return folder / "my_conf"


def test_an_entry_of_ones_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused until its exact class is allowed; then it runs like any other."""
    conf = _own_surrogate(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", *WORDS, f"--config-dir={conf}", "surrogate=half"]
    assert main(words) == 2
    assert lines_naming(capfd.readouterr().err, "--allow-target my_surrogates.Half")
    assert main([*words, "--allow-target=my_surrogates.Hal"]) == 2
    assert main([*words, "--allow-target", "my_surrogates.Half"]) == 0
    assert "half" in capfd.readouterr().out
    assert main(["list", "surrogate", "--config-dir", str(conf)]) == 0
    assert "Half of everything." in capfd.readouterr().out


def test_an_entry_that_shadows_a_shipped_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hydra and the catalogue could take different files of one name; nobody would see which."""
    folder = tmp_path / "conf" / "surrogate"
    folder.mkdir(parents=True)
    (folder / "atan.yaml").write_text("_target_: sgbench.surrogates.constant.Constant\n")
    assert main(["run", *WORDS, f"--config-dir={folder.parent}"]) == 2
    assert "rename yours" in capsys.readouterr().err
    assert main(["list", "surrogate", "--config-dir", str(folder.parent)]) == 2


@pytest.mark.slow
def test_several_folders_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of both are there at once."""
    first = _own_surrogate(tmp_path)
    second = tmp_path / "more" / "init"
    second.mkdir(parents=True)
    (second / "small.yaml").write_text(
        "_target_: sgbench.inits.uniform.Uniform\ngain: 0.5\nrecurrent_gain: 1.0\nmeta:\n  line: Small.\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folders = [f"--config-dir={first}", f"--config-dir={second.parent}"]
    words = ["surrogate=half", "init=small", "--allow-target=my_surrogates.Half"]
    assert main(["run", *WORDS, *folders, *words]) == 0


def test_a_config_of_ones_own_cannot_allow_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment that lists its own class, or a callback, is refused before anything is imported."""
    conf = _own_surrogate(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_surrogates", raising=False)
    (conf / "experiment").mkdir()
    body = "# @package _global_\ndefaults:\n  - override /surrogate: half\n"
    (conf / "experiment" / "sly.yaml").write_text(body + "allow_targets: [my_surrogates.Half]\n")
    (conf / "experiment" / "slier.yaml").write_text(
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: my_surrogates.Half\n"
    )
    for name in ("sly", "slier"):
        words = [word for word in WORDS if not word.startswith("experiment")]
        assert main(["run", *words, f"--config-dir={conf}", f"experiment={name}"]) == 2
        assert "my_surrogates" not in sys.modules
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.slow
def test_code_of_ones_own_is_not_a_clean_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No commit of sgbench says what a class from elsewhere was; one that changed does not get the old result.

    Must match: a class with another comment, whose run is not repeated.
    """
    import sgbench

    conf = _own_surrogate(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_surrogates", raising=False)
    monkeypatch.setattr("sgbench.training.provenance.git_state", lambda _: ("0" * 40, True))
    own = sgbench.run(*WORDS, "surrogate=half", config_dirs=[conf], allow_targets=["my_surrogates.Half"])
    assert own.provenance.clean is False
    assert sgbench.run(*WORDS).provenance.clean is True
    path = tmp_path / "my_surrogates.py"
    for old, new in (("class", "# mine\nclass"), ("0.5", "0.25")):
        path.write_text(path.read_text().replace(old, new))
        sys.modules.pop("my_surrogates")
        words = [*WORDS, "surrogate=half"]
        options: Any = {"config_dirs": [conf], "allow_targets": ["my_surrogates.Half"]}
        if old == "class":
            assert sgbench.run(*words, **options) == own
            continue
        with raises_naming(InputError, "surrogate=half", "force=true"):
            sgbench.run(*words, **options)


@pytest.mark.slow
def test_hydras_callback_and_launcher_of_ones_own_are_called(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run calls the callback at its begin and end, a sweep's launcher is the user's; refused without the flag."""
    (tmp_path / "my_hydra.py").write_text(
        "from hydra.experimental.callback import Callback\n\n\n"
        "class Noting(Callback):\n"
        "    def __init__(self, word):\n"
        "        self.word = word\n\n"
        "    def on_job_start(self, config, **_):\n"
        "        print(self.word, 'begins')\n\n"
        "    def on_job_end(self, config, job_return, **_):\n"
        "        print(self.word, 'ends')\n"
    )
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "mine_of_this_test.py").write_text(
        "from hydra._internal.core_plugins.basic_launcher import BasicLauncher\n\n\n"
        "class Mine(BasicLauncher):\n"
        "    def launch(self, job_overrides, initial_job_idx):\n"
        "        print('launches', len(job_overrides))\n"
        "        return super().launch(job_overrides, initial_job_idx)\n"
    )
    for name, text in (
        ("hydra/callbacks/noting.yaml", "noting: {_target_: my_hydra.Noting, word: mine}\n"),
        ("hydra/launcher/mine.yaml", "_target_: hydra_plugins.mine_of_this_test.Mine\n"),
    ):
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", *WORDS, f"--config-dir={tmp_path / 'conf'}", "hydra/callbacks=noting"]
    assert main(words) == 2
    assert lines_naming(capfd.readouterr().err, "--allow-hydra my_hydra.Noting")
    assert main([*words, "--allow-hydra", "my_hydra.Noting"]) == 0
    told = capfd.readouterr().out
    assert told.index("mine begins") < told.index("mine ends")
    allowed = ["my_hydra.Noting", "hydra_plugins.mine_of_this_test.Mine"]
    command = [sys.executable, "-m", "sgbench", *words, "-m", "seed=0,1", "hydra/launcher=mine"]
    # In a process of its own, since Hydra looks for plugins once.
    done = subprocess.run(
        [*command, *(f"--allow-hydra={name}" for name in allowed)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "launches 2" in done.stdout
    assert done.stdout.count("mine begins") == 2
