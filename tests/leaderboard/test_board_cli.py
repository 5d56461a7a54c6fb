"""`sgbench board` from end to end; expected outcomes follow from the rules, by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sgbench.cli.main import main
from sgbench.leaderboard.deviation import compose_reference
from sgbench.paths import JUDGED
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.study_runner.judge.judged import runs_folder
from sgbench.study_runner.judge.trial import Candidate
from tests.leaderboard.factory import record, write_board_record, write_run
from tests.messages import lines_naming

BOARD = ("table.md", "table.csv", "board.png")


@pytest.fixture(scope="module")
def plain() -> Method:
    """The reference method of the shipped protocol."""
    return compose_reference("digits_v1").method


def wider(method: Method, width: float) -> Method:
    """The same with another width of the surrogate."""
    changed = method.parameters | {"surrogate": method.parameters["surrogate"] | {"width_fwhm": width}}
    return method.model_copy(update={"parameters": changed})


def records(plain: Method) -> list[RunRecord]:
    """Two methods with two seeds each."""
    return [
        record(seed=seed, accuracy=accuracy - 0.01 * seed, of=found)
        for found, accuracy in ((plain, 0.95), (wider(plain, 2.0), 0.5))
        for seed in (0, 1)
    ]


@pytest.fixture
def runs(runs_dir: Path, plain: Method) -> Path:
    """A runs folder where the command looks for one."""
    for found in records(plain):
        write_run(runs_dir, found)
    return runs_dir


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, plain: Method) -> Path:
    """A leaderboards folder with a built board, to copy."""
    root = tmp_path_factory.mktemp("built") / "boards"
    for found in records(plain):
        write_board_record(root, found)
    assert main(["board", "build", "--from", "leaderboards", "--root", str(root)]) == 0
    return root


@pytest.fixture
def boards(tmp_path: Path, built: Path) -> Path:
    """A leaderboards folder of one's own with a built board."""
    return shutil.copytree(built, tmp_path / "boards")


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON object on standard output."""
    return json.loads(capsys.readouterr().out)


def test_build_from_runs(runs: Path, plain: Method, capsys: pytest.CaptureFixture[str]) -> None:
    """Three files beside the records; the summary names them."""
    assert main(["board", "build", "--json"]) == 0
    folder = runs / "digits_v1"
    files = [str(folder / name) for name in BOARD]
    expected = {"protocol": "digits_v1", "methods": 2, "records": 4, "outside": 0, "files": files}
    assert said(capsys) == {"boards": [expected], "left_out": []}
    assert all(Path(file).stat().st_size for file in files)
    assert "](" + records(plain)[0].method_id in (folder / "table.md").read_text()


@pytest.mark.slow
def test_build_twice_gives_the_same_bytes(runs: Path) -> None:
    """A board depends on its records alone; its own files in the tree disturb nothing."""
    main(["board", "build"])
    first = [(runs / "digits_v1" / name).read_bytes() for name in BOARD]
    main(["board", "build"])
    assert [(runs / "digits_v1" / name).read_bytes() for name in BOARD] == first


def test_damaged_record_is_named_and_the_rest_is_built(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, one line that names the file, and a board of the others."""
    bad = next(runs.rglob("record.json"))
    bad.write_text("{")
    assert main(["board", "build"]) == 1
    out = capsys.readouterr().out
    assert lines_naming(out, f"{bad}", "JSON")
    assert "digits_v1: 2 methods, 3 records" in out


def test_runs_of_ones_own_may_deviate(
    runs: Path, plain: Method, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, and a line that they are not ranked, beside rows that are; must differ: nothing is left to rank.

    A board that they are added to, and runs that failed for want of memory, are asked to be ranked: exit code 1.
    """
    shorter = plain.model_copy(update={"protocol": plain.protocol.model_copy(update={"steps": 5})})
    for seed in (0, 1):
        write_run(runs, record(seed=seed, accuracy=0.5, of=shorter))
    words = (["build"], ["show"], ["across"], ["tuning", "--protocol", "digits_v1"])
    for word in words:
        assert main(["board", *word, "--from", "runs"]) == 0, word
        told = capsys.readouterr()
        assert lines_naming(told.out + told.err, "not ranked", "protocol.steps is 5", "1 more")
        assert "left out: " not in told.out + told.err
    assert main(["board", "add", str(runs), "--to", str(tmp_path / "boards")]) == 1
    shutil.rmtree(runs)
    write_run(runs, record(seed=0, accuracy=0.5, of=shorter))
    for word in words[:2]:
        assert main(["board", *word, "--from", "runs"]) == 1, word


def test_runs_of_a_verdict_are_no_rows(runs: Path, plain: Method, capsys: pytest.CaptureFixture[str]) -> None:
    """What `sgbench judge` lays into runs/judged disturbs no board; the same folder elsewhere is misplaced."""
    write_run(runs / JUDGED / "atan_0123abcd", record(seed=0, accuracy=0.5, of=plain))
    for word in (["build"], ["show"], ["across"]):
        assert main(["board", *word, "--from", "runs"]) == 0, word
        told = capsys.readouterr()
        assert "left out" not in told.out + told.err
    assert runs_folder(Candidate.of(["atan"], []), None).is_relative_to(runs / JUDGED)
    (runs / JUDGED).rename(runs / "others")
    assert main(["board", "show", "--from", "runs"]) == 1
    assert lines_naming(capsys.readouterr().out, "left out", "misplaced")


def test_own_runs_are_explained_and_cited_first(
    runs: Path, plain: Method, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ids of two of one's own runs, of any board; must differ: ids of published rows, where no run has them."""
    ids = [method_id(method) for method in (plain, wider(plain, 2.0))]
    write_run(runs, record(seed=0, accuracy=0.5, of=compose_reference("yin_yang_v2").method))
    assert main(["board", "explain", *ids]) == 0
    told = capsys.readouterr()
    assert "45.0" in told.out  # points: 0.945 and 0.495 are the means
    assert lines_naming(told.err, "own runs", "--from registry")
    assert main(["cite", ids[1]]) == 0
    assert "@" in capsys.readouterr().out
    assert main(["board", "explain", "nothing", "atan", "--protocol", "digits_v1"]) == 2
    assert lines_naming(capsys.readouterr().err.splitlines()[-1], "nothing", "own runs")
    monkeypatch.setenv("SGBENCH_RUNS", str(runs / "empty"))
    assert main(["cite", ids[1]]) == 2


def test_nothing_to_build_is_bad_input(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No folder, and an empty one: exit code 2, one line with the remedy."""
    assert main(["board", "build"]) == 2
    runs_dir.mkdir()
    assert main(["board", "build"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("sgbench: error: ") and "sgbench run" in line for line in lines)


def test_unknown_protocol_is_bad_input(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name is offered."""
    assert main(["board", "build", "--protocol", "digits_v2"]) == 2
    assert "did you mean 'digits_v1'" in capsys.readouterr().err


def test_unwritable_folder_is_a_storage_error(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder where the table should be: exit code 2, one line."""
    (runs / "digits_v1" / "table.md").mkdir()
    assert main(["board", "build"]) == 2
    assert lines_naming(capsys.readouterr().err, "table.md")


def test_add_build_check(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From runs to a board that checks clean; adding again changes nothing."""
    to = ["--to", str(tmp_path / "boards")]
    assert main(["board", "add", str(runs), *to, "--json"]) == 0
    first = said(capsys)
    nothing = {"refused": [], "contradicted": []}
    assert len(first["added"]) == 4
    assert first == {"added": first["added"], "already_there": [], **nothing}
    assert main(["board", "add", str(runs), *to, "--json"]) == 0
    assert said(capsys) == {"added": [], "already_there": first["added"], **nothing}
    root = ["--root", str(tmp_path / "boards")]
    assert main(["board", "build", "--from", "leaderboards", *root]) == 0
    capsys.readouterr()
    assert main(["board", "check", *root, "--json"]) == 0
    assert said(capsys) == {"checked": ["digits_v1"], "findings": []}


def test_add_refuses_what_deviates(runs_dir: Path, tmp_path: Path, plain: Method, capsys) -> None:
    """Two epochs where the protocol says thirty: named, refused, exit code 1."""
    short = plain.protocol.model_copy(update={"epochs": 2})
    found = record(of=plain.model_copy(update={"protocol": short}))
    write_run(runs_dir, found)
    assert main(["board", "add", str(runs_dir), "--to", str(tmp_path / "boards")]) == 1
    words = f"{found.method_id}/0/record.json: deviates from digits_v1: protocol.epochs is 2, the protocol says 30"
    assert words in capsys.readouterr().out
    assert not (tmp_path / "boards").exists()


CHANGES = ("edit", "delete", "link")


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param(change, name, marks=[pytest.mark.slow] * (row != column))
        for row, change in enumerate(CHANGES)
        for column, name in enumerate(BOARD)
    ],
)
def test_check_finds_a_changed_file(boards: Path, name: str, change: str, capsys) -> None:
    """One byte more, a missing file, a link: a finding that names the file, exit code 1."""
    path = boards / "digits_v1" / name
    data = path.read_bytes()
    path.unlink()
    if change == "edit":
        # In front of the picture's digest, which stands near the beginning.
        path.write_bytes(data[:20] + b"!" + data[20:])
    elif change == "link":
        (boards.parent / "elsewhere").write_bytes(data)
        path.symlink_to(boards.parent / "elsewhere")
    capsys.readouterr()
    assert main(["board", "check", "--root", str(boards), "--json"]) == 1
    assert [item["path"] for item in said(capsys)["findings"]] == [str(path)]


def test_check_finds_a_table_that_a_new_record_made_stale(boards: Path, plain: Method, capsys) -> None:
    """A record without a rebuild: all three files are stale."""
    write_board_record(boards, record(seed=2, of=plain))
    capsys.readouterr()
    assert main(["board", "check", "--root", str(boards), "--json"]) == 1
    assert [Path(item["path"]).name for item in said(capsys)["findings"]] == list(BOARD)


def test_check_finds_a_table_without_records(boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records gone, files left: each is named."""
    for path in boards.rglob("*.json"):
        path.unlink()
    capsys.readouterr()
    assert main(["board", "check", "--root", str(boards)]) == 1
    out = capsys.readouterr().out
    assert [len(lines_naming(out, name)) for name in ("table.md", "table.csv", "board.png")] == [1, 1, 1]
    assert "0 boards checked (none), 3 problems" in out


def test_check_of_an_empty_folder_is_fine(tmp_path: Path) -> None:
    """Nothing published, nothing wrong."""
    (tmp_path / "boards").mkdir()
    assert main(["board", "check", "--root", str(tmp_path / "boards")]) == 0


def test_show_in_a_pipe_is_one_line_a_method(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readable by grep: no colour, every number of a method on its line, dashes explained."""
    assert main(["board", "show"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    line, beside = [line for line in out.splitlines() if "width_fwhm=2" in line]
    # 550 additions, 1600 + 250 updates, 15 spikes on loihi1: 12.98 + 149.85 + 0.0255 = 163 nJ; truenorth:
    # 1.265 nJ. In 45 nm 550 additions and the hidden layer's arithmetic: 0.495 + 1600 x 6.4 pJ = 10.7 nJ.
    assert line.split()[-4:] == ["550", "10.7", "163", "1.26"]
    assert "*: a part of the energy" in out
    assert beside.split()[5] == "50"  # two methods of equal counts: neither is cheaper
    assert "events: share" in out


def test_show_fits_a_terminal_of_80_columns(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """No line is wider, the method and five columns are whole; the energies come on request."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["board", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["rank", "method", "accuracy,", "%", "spikes", "energy,", "nJ"]
    (line,) = [line for line in lines if "width_fwhm=2" in line]
    assert line.split()[-1] == "10.7"
    assert main(["board", "show", "--energy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("width_fwhm=2" in line for line in lines) == 2


@pytest.mark.slow
def test_protocol_of_ones_own(tmp_path: Path, runs_dir: Path, plain: Method, capsys) -> None:
    """With --config-dir a user's protocol has a board; without, its records are left out and the reason said."""
    from sgbench.paths import conf_dir

    (tmp_path / "mine" / "protocol").mkdir(parents=True)
    text = (conf_dir() / "protocol" / "digits_v1.yaml").read_text().replace("digits_v1", "mine_v1")
    (tmp_path / "mine" / "protocol" / "mine_v1.yaml").write_text(text)
    own = plain.protocol.model_copy(update={"name": "mine_v1"})
    write_run(runs_dir, record(of=plain.model_copy(update={"protocol": own})))
    assert main(["board", "build", "--config-dir", str(tmp_path / "mine")]) == 0
    capsys.readouterr()
    assert main(["board", "build"]) == 1
    assert lines_naming(capsys.readouterr().out, "'mine_v1'")


@pytest.mark.slow
def test_board_starts_without_torch(runs: Path) -> None:
    """A reviewer's laptop builds and checks tables from text files alone."""
    code = (
        "import sys; from sgbench.cli.main import main; code = main(['board', 'build']); "
        "sys.exit(code or any(name in sys.modules for name in ('torch', 'snntorch', 'pytorch_lightning')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.one_in(4)
@pytest.mark.parametrize("words", [["across"], ["tuning", "--protocol", "digits_v1"]])
def test_runs_that_do_not_count_say_why(
    words: list[str], runs_dir: Path, plain: Method, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: one line with the first reason, where every record deviates; another where there is none at all."""
    shorter = plain.model_copy(update={"protocol": plain.protocol.model_copy(update={"steps": 5})})
    for seed in (0, 1):
        write_run(runs_dir, record(seed=seed, accuracy=0.5, of=shorter))
    assert main(["board", *words]) == 2
    error = capsys.readouterr().err
    assert lines_naming(error, "2 left out")
    assert "protocol.steps is 5" in error
    assert error.count("\n") == 1
    shutil.rmtree(runs_dir / "digits_v1")
    (runs_dir / "digits_v1").mkdir()
    assert main(["board", *words]) == 2
    assert capsys.readouterr().err.endswith("no records that count\n")
