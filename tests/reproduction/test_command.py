"""`sgbench reproduce` as a user meets it."""

import json

import pytest
import yaml

from sgbench.cli.main import main
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.paths import conf_dir
from sgbench.records.method import method_id
from sgbench.reproduction.definition import names, read
from sgbench.reproduction.figures import read_figures, result_of, update_figures
from sgbench.reproduction.page import as_page, rows_of
from sgbench.reproduction.runs import ReproductionFolders, ReproductionResult, calculated, grids_of
from sgbench.reproduction.stored import ReproductionRun, read_runs
from sgbench.reproduction.verdict import Judged
from tests.figures import figures

QUICK = {  # two short runs of a condition each, of which one figure must agree and one must not
    "ablations": [],  # of figures of its own
    "seeds": [0, 1],
    "conditions": {"short": ["protocol.epochs=1", "protocol.hidden=[3]"]},
    "figures": [
        {"line": "sure", "of": ["short"], "at_most": 1.0, "evidence": "no accuracy is larger"},
        {"line": "impossible", "of": ["short"], "published": 2.0, "tolerance": 0.5, "evidence": "by hand"},
    ],
}


@pytest.fixture
def mine(tmp_path):
    """A folder with a reproduction of temporal XOR that takes a moment."""
    folder = tmp_path / "conf" / "experiment" / "reproduce"
    folder.mkdir(parents=True)
    tree = yaml.safe_load((conf_dir() / "experiment" / "reproduce" / "temporal_xor.yaml").read_text())
    tree["meta"]["reproduction"] |= QUICK
    (folder / "quick.yaml").write_text("# @package _global_\n" + yaml.safe_dump(tree))
    return tmp_path / "conf"


@pytest.mark.slow
def test_run_and_read_again(mine, tmp_path, capsys):
    """Expected: two runs, exit code 3 for the figure that cannot agree; a second call runs nothing.

    Must differ: before the runs nothing is measured, exit code 1.
    """
    words = ["reproduce", "quick", f"--config-dir={mine}", f"--root={tmp_path / 'runs'}"]
    assert main([*words, "--stored", "--json"]) == 1
    (before,) = json.loads(capsys.readouterr().out)
    assert [each["verdict"] for each in before["figures"]] == ["not measured"] * 2
    assert main([*words, "--workers=1"]) == 3
    shown = capsys.readouterr().out
    assert "agrees" in shown
    assert "does not agree" in shown
    records = sorted((tmp_path / "runs").rglob("record.json"))
    assert len(records) == 2
    stamps = [path.stat().st_mtime_ns for path in records]
    assert main([*words, "--json"]) == 3
    captured = capsys.readouterr()
    (after,) = json.loads(captured.out)
    assert [path.stat().st_mtime_ns for path in records] == stamps
    scores = [json.loads(path.read_text())["test"]["accuracy"] for path in records]
    assert after["figures"][0]["ours"] == pytest.approx(sum(scores) / 2)
    assert after["minutes"] > 0


def test_runs_are_stored_without_ablations_too(mine, tmp_path, capsys, monkeypatch):
    """Expected: both runs in the file beside the page, and each seed's measure in JSON, without a record.

    Must differ: a page whose file is not there knows nothing.
    """
    words = ["reproduce", "quick", f"--config-dir={mine}", f"--root={tmp_path / 'none'}", "--stored", "--json"]
    grids = grids_of(read("quick", [mine]), None, ReproductionFolders(config_dirs=(mine,)), with_ablations=False)
    keys = [(method_id(spec.method), spec.seed) for spec in grids[0].specs()]
    known = {key: ReproductionRun(method=key[0], seed=key[1], measures={"test_accuracy": 0.25 + key[1] / 2},
                                  rank=0.0, total_s=1.0) for key in keys}  # fmt: skip
    page = tmp_path / "pages.md"
    (tmp_path / "pages").mkdir()
    update_figures(tmp_path / "pages" / "figures.json", [])
    with monkeypatch.context() as given:
        given.setattr("sgbench.reproduction.runs.runs_of", lambda *_: known)
        main([*words, f"--update={page}"])
    assert read_runs(tmp_path / "pages" / "quick.jsonl") == known
    capsys.readouterr()
    main([*words, f"--update={page}"])
    assert json.loads(capsys.readouterr().out)[0]["figures"][0]["by_seed"] == [0.25, 0.75]
    assert main(words) == 1


def counts(page: str) -> list[float]:
    """Of a page: figures, those that agree, those that do not, and those that are not measured."""
    (line,) = [line for line in page.splitlines() if "are not measured" in line]
    return figures(line)


def test_a_page_of_two():
    """Expected: counts, a row with the minutes that the list states, and what differs, of results made up by hand."""
    one = read("spytorch2")
    figure = one.figures[0]
    made = ReproductionResult(
        one, (Judged(figure, 0.5, 0.01, 3, "does not agree", None),), 3, 7.25, {"fashion": ("abc",)}, ("c0ffee",)
    )
    text = as_page([made, calculated(read("closed_loop"), [0])])
    assert counts(text) == [7, 6, 1, 0]
    row = f"| spytorch2 | {figure.line} | 0.863 ± 0.01 | 0.5000 ± 0.0100 | 3 | does not agree |  | 15.7 |"
    assert row in text.splitlines()
    assert all(f"{each[:1].upper()}{each[1:]}." in " ".join(text.split()) for each in one.differs)
    assert all(len(line) <= 116 for line in text.splitlines() if not line.startswith("|"))
    assert "| fashion |  | `abc` |" in text.splitlines()
    assert "- Runs of commit c0ffee." in text


def test_a_page_keeps_what_was_not_run_here(tmp_path):
    """Must match: rows and commits of what was measured before, while figures and methods are those.

    Must differ: the other reproduction, and what another method would measure now.
    """
    one = read("spytorch2")
    figure = one.figures[0]

    def result(*judged, methods="abc", commits=("c0ffee",)):
        return ReproductionResult(one, judged, 3, 7.25, {"fashion": (methods,)}, commits)

    def updated(*results):
        return update_figures(tmp_path / "figures.json", results)

    nothing = Judged(figure, None, None, 0, "not measured", "3 runs without a result")
    (before,) = updated(result(Judged(figure, 0.5, 0.01, 3, "does not agree", None)))
    after = updated(result(nothing, commits=()), calculated(read("closed_loop"), [0]))
    assert [each.reproduction.name for each in after] == ["closed_loop", "spytorch2"]
    assert (rows_of(after[1]), after[1].commits) == (rows_of(before), ("c0ffee",))
    assert counts(as_page(after)) == [7, 6, 1, 0]
    assert as_page(updated()) == as_page(after)
    anew = updated(result(Judged(figure, 0.86, 0.01, 3, "agrees", None)))
    assert counts(as_page(anew)) == [7, 7, 0, 0]
    other = updated(result(nothing, methods="abd"))
    assert counts(as_page(other)) == [7, 6, 0, 1]


def test_a_figure_that_is_held_to_another_number_by_now_is_not_measured(tmp_path):
    """Must match: while the published number is that of the file; must differ: with another, or a new figure."""
    one = read("spytorch2")
    result = ReproductionResult(one, (Judged(one.figures[0], 0.86, 0.01, 3, "agrees", None),), 3, 7.25)
    update_figures(tmp_path / "figures.json", [result])
    stored = read_figures(tmp_path / "figures.json")["spytorch2"]
    assert result_of(one, stored).judged == result.judged
    moved = one.figures[0].model_copy(update={"published": 0.9})
    added = moved.model_copy(update={"line": "another"})
    found = result_of(one.model_copy(update={"figures": (moved, added)}), stored)
    assert [each.verdict for each in found.judged] == ["not measured"] * 2


@pytest.mark.slow
def test_the_page_holds_what_was_measured(tmp_path, capsys):
    """Expected: a row for each figure, six of them by calculation alone; nothing else without records."""
    page = tmp_path / "page.md"
    words = ["reproduce", "all", "--stored", "--seeds=1", f"--root={tmp_path}", f"--update={page}"]
    assert main(words) == 1
    capsys.readouterr()
    text = page.read_text()
    assert all(f"\n## {name}\n" in text for name in names())
    assert text.count("| agrees |") == 6
    assert "figures 6 agree, 0 do not" in text


def test_list(capsys):
    """Expected: every name, without NAME and with --list; as JSON the figures too."""
    assert main(["reproduce"]) == 0
    plain = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{plain}" for name in names())
    assert main(["reproduce", "--list", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in tree] == names()
    assert all(each["figures"] and each["sources"] for each in tree)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["closed_lop"], "reproduction 'closed_lop' does not exist; did you mean 'closed_loop'?"),
        (["closed_loop", "--seeds=0"], "--seeds 0: at least 1 is needed"),
        (["closed_loop", "--workers=-1"], "--workers -1: at least 1 is needed"),
        (["closed_loop", "--update=page.md"], "use: sgbench reproduce all"),
        (["spytorch2", "--data-dir=/nowhere"], "fashion"),
        (["temporal_xor", "--seeds=1", "--root=/proc/nowhere"], "/proc/nowhere cannot be written"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys, tmp_path, monkeypatch):
    """Expected: exit code 2, one line on standard error; no folder of the system's has the files of a data set."""
    monkeypatch.setattr(FashionMnist, "elsewhere", ())
    assert main(["reproduce", f"--root={tmp_path}", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
