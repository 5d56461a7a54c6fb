"""`sgbench energy` as a user meets it: every action, its JSON, its pictures, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sgbench.cli.main import main
from tests.messages import lines_naming

ROOT = Path(__file__).resolve().parent.parent.parent
BOARD = ROOT / "leaderboards" / "digits_v1" / "records"
RECORD = str(sorted(BOARD.rglob("0.json"))[0])
METHOD = str(sorted(BOARD.iterdir())[0])


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What the command prints."""
    assert main(["energy", *words]) == code
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a refusal."""
    assert main(["energy", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_list_names_every_target_with_its_evidence(capsys):
    text = said(capsys, "list")
    assert lines_naming(text, "loihi2", "Loihi 2")
    assert "verified" in text
    one = said(capsys, "list", "loihi1_board")
    assert "hop_east_west           3 pJ" in one
    assert "chip, weight_bits: 9" in one
    assert "left out: memory" in one
    tree = json.loads(said(capsys, "list", "--json"))
    assert {each["name"] for each in tree} >= {"horowitz_45nm", "loihi1_board", "spinnaker2"}


def test_price_and_its_picture(capsys, tmp_path):
    """The same bytes from the same record."""
    text = said(capsys, "price", RECORD)
    assert "horowitz_45nm" in text
    assert lines_naming(text, "xylo_audio2", "Xylo")
    pictures = [tmp_path / name for name in ("a.png", "b.png")]
    for picture in pictures:
        said(capsys, "price", RECORD, "--target", "loihi1_board", "--target", "lemaire_int32", "--plot", str(picture))
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    tree = json.loads(said(capsys, "price", RECORD, "--target", "loihi1", "--json"))
    (only,) = tree["targets"]
    assert tree["footprint"]["weights"] == 4736
    assert only["dynamic_nj"]["low"] < only["dynamic_nj"]["value"]


def test_explain_shows_the_sum(capsys):
    """The printed terms add up to the printed total, in the JSON to the last digit."""
    tree = json.loads(said(capsys, "explain", RECORD, "--target", "horowitz_45nm_sram", "--json"))
    parts = sum(term["energy_nj"]["value"] for term in tree["by_layer"])
    assert parts == pytest.approx(tree["dynamic_nj"]["value"])
    text = said(capsys, "explain", RECORD, "--target", "horowitz_45nm_sram")
    assert "left out: static power" in text
    assert lines_naming(text, "source", "secondary", "per_op", "Horowitz")
    assert "pooling" not in text  # nothing of it occurs, so nothing of it is left out


def test_fit_says_whether_and_where(capsys):
    assert lines_naming(said(capsys, "fit", RECORD, "--target", "loihi1"), "cores: 2", "chips: 1")
    text = said(capsys, "fit", RECORD, "--target", "truenorth", code=1)
    assert "not supported: neuron 'leaky'" in text
    tree = json.loads(said(capsys, "fit", RECORD, "--target", "loihi1", "--json"))
    assert tree["fits"] is True


def test_rank_compares_methods_and_draws_the_front(capsys, tmp_path):
    picture = tmp_path / "front.png"
    text = said(capsys, "rank", str(BOARD), "--target", "loihi1", "--plot", str(picture))
    assert "atan" in text
    assert "crossover" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    tree = json.loads(said(capsys, "rank", str(BOARD), "--target", "horowitz_45nm", "--json"))
    methods = len(tree["methods"])
    assert len(tree["stability"]) == methods * (methods - 1) // 2
    assert all(0 <= duel["mean"] <= 1 for duel in tree["stability"])


def test_validate_in_every_form(capsys):
    verdicts = json.loads(said(capsys, "validate", "--json"))
    assert {each["case"] for each in verdicts} >= {"loihi1_keywords", "truenorth_sweep", "speck_events"}
    assert said(capsys, "validate", "--markdown").startswith("| case |")
    assert "predictions hold" in said(capsys, "validate")


def test_meter_says_what_is_not_available(capsys):
    tree = json.loads(said(capsys, "meter", "--json"))
    assert tree["meters"] or all("not available" in each for each in tree["not_available"])


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["price", RECORD, "--target", "loihi"], "did you mean 'loihi"),
        (["price", "nowhere.json"], "nowhere.json: no such file; name the folder of one run"),
        (["price", RECORD, "--plot", "x.txt"], "--plot x.txt"),
        (["price", RECORD, "--target", "xylo_audio2", "--plot", "x.png"], "no target has a total to draw"),
        (["explain", RECORD, "--target", "nothing"], "energy target 'nothing' does not exist"),
        (["fit", RECORD, "--target", "horowitz_45nm"], "states no limits of a chip"),
        (["price", str(BOARD)], "holds no record.json; name the folder of one run"),
        (["rank", "/nowhere"], "no such file or folder"),
        (["meter", "--idle", "0", "true"], "--idle=0.0: a number in (0"),
        (["decide", "experiment=digits", "seed=77"], "no finished run; make it with sgbench run"),
    ],
)
def test_wrong_input_is_one_line(capsys, words, message, tmp_path, monkeypatch):
    monkeypatch.setenv("SGBENCH_RUNS", str(tmp_path))
    assert message in refused(capsys, *words)


def test_a_target_of_ones_own(capsys, tmp_path):
    """A folder with one file is enough; a wrong unit in it is named."""
    (tmp_path / "energy").mkdir()
    path = tmp_path / "energy" / "mine.yaml"
    shipped = (ROOT / "conf" / "energy" / "convention_ac_mac.yaml").read_text()
    path.write_text(shipped.replace("name: convention_ac_mac", "name: mine"))
    text = said(capsys, "price", RECORD, "--config-dir", str(tmp_path), "--target", "mine")
    assert any(line.startswith("mine ") for line in text.splitlines())
    path.write_text(path.read_text().replace("    scope: per_op", "    per: byte\n    scope: per_op", 1))
    message = refused(capsys, "price", RECORD, "--config-dir", str(tmp_path), "--target", "mine")
    assert lines_naming(message, "mine.yaml", "prices.0", "accumulate")
