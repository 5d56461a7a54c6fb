"""Pickles read as data: what NumPy writes comes back equal, and whatever does something is refused unrun.

Legend: a canary is a file that appears if something in a pickle is run.
"""

import gzip
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgbench.datasets.braille import FILE, ORIGINAL, Braille, numbers_in
from sgbench.errors import InputError
from tests.datasets.fakes import fake_braille
from tests.messages import raises_naming

ARRAYS = {
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "large": np.arange(1000, dtype=np.int64),
    "other order": np.arange(4, dtype=">i4"),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty": np.zeros((0, 5), dtype=np.float32),
    "truth": np.array([True, False]),
    "alone": np.array(7.5),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_come_back_equal(protocol, kind):
    """Expected: pickle's own reading of the same bytes; numbers, type and shape, for every protocol."""
    array = ARRAYS[kind]
    tree = {"a": [array, array], "b": (1, -(2**40), 0.25, None, True, "text\n"), 3: {"deep": [[]]}}
    data = pickle.dumps(tree, protocol)
    found, expected = numbers_in(data, "x.pkl"), pickle.loads(data)  # noqa: S301 - written here
    assert found["a"][1].dtype == array.dtype
    np.testing.assert_array_equal(found["a"][0], expected["a"][0])
    assert found["a"][1].shape == array.shape
    assert found["b"] == expected["b"]
    assert found[3] == expected[3]


def test_single_numbers_of_numpy_come_back():
    """Expected: a NumPy scalar is its number; names of NumPy 1 and 2 are known."""
    data = pickle.dumps([np.float64(0.5), np.int16(-3)], 2)
    assert numbers_in(data, "x") == [0.5, -3]
    assert b"numpy._core" in data or b"numpy.core" in data
    assert numbers_in(data.replace(b"numpy._core.", b"numpy.core."), "x") == [0.5, -3]


class Runs:
    """Writes the canary when unpickled."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def hostile(canary: Path) -> dict[str, bytes]:
    touch = f"open({str(canary)!r}, 'w')"
    return {
        "eval": pickle.dumps(Runs(eval, touch)),
        "exec, protocol 0": pickle.dumps(Runs(exec, touch), 0),
        "inside an array": pickle.dumps(np.array([Runs(eval, touch)], dtype=object)),
        "inside a list": pickle.dumps([1, {"taxel_data": Runs(eval, touch)}]),
        "opener": b"cbuiltins\nopen\n(V" + str(canary).encode() + b"\nVw\ntR.",
        "instance": b"(V" + str(canary).encode() + b"\nVw\niio\nopen\n.",
        "object": b"(cio\nFileIO\nV" + str(canary).encode() + b"\nVw\no.",
        "new object": b"\x80\x02cio\nFileIO\n(V" + str(canary).encode() + b"\nVw\nt\x81.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pname\n.",
        "a name": b"cnumpy\ndtype\n.",
        "dtype of objects": b"cnumpy\ndtype\n(VO8\nI00\nI01\ntR.",
        "reconstruct of something else": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntVb\ntR.",
        "a call of a text": b"Veval\n(V1\ntR.",
        "encode with another codec": b"c_codecs\nencode\n(Vabc\nVrot13\ntR.",
        "huge array": pickle.dumps(np.zeros(3, np.uint8), 2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
        "itself": b"(lp0\ng0\na.",
        "a set": pickle.dumps({1, 2}),
        "a class for an array": b"cnumpy\nndarray\n(I9\ntR.",
        "a new array": b"\x80\x02cnumpy\nndarray\nI9\n\x85\x81.",
        "a state for a name": b"\x80\x02cnumpy\ndtype\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
        "a state for a class": b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
        "another order": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00i4\x85RK\x03X\x01\x00\x00\x00!\x86b.",
        "an array of a text": b"cnumpy.core.multiarray\n_reconstruct\n(Vx\nI0\ntR.",
        "a far place": b"\x80\x02K\x01r\xff\xff\xff\x0f.",
        "many bytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        "a codec for the canary": b"c_codecs\nencode\n(Vabc\nVzip\ntR.",
        "empty": b"",
        "cut": pickle.dumps([1, 2, np.zeros(99)])[:-40],
        "no stack": b"0000.",
        "no mark": b"e.",
        "a web page": b"<html>404</html>",
    }


@pytest.mark.parametrize("kind", hostile(Path("x")))
def test_whatever_does_something_is_refused_unrun(tmp_path, kind):
    """Expected: one line that names the file; no canary, though pickle itself would have run what can run."""
    canary = tmp_path / "canary"
    data = hostile(canary)[kind]
    with raises_naming(InputError, "x.pkl", "plain numbers") as caught:
        numbers_in(data, "x.pkl")
    assert "\n" not in str(caught.value)
    assert not canary.exists()


def test_the_canary_sings():
    """Must differ: the pickles above are real; what they hold asks for functions by name."""
    asked = {
        kind: [code.name for code, *_ in pickletools.genops(data)]
        for kind, data in hostile(Path("x")).items()
        if kind in ("eval", "opener")
    }
    assert all({"REDUCE"} <= set(codes) and {"GLOBAL", "STACK_GLOBAL"} & set(codes) for codes in asked.values())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "braille").mkdir()
    fake_braille(tmp_path / "braille", seed=3)
    return tmp_path


def original(root: Path) -> list[dict[str, Any]]:
    """The fake as the tutorial keeps it: sensor values from 255 downwards, some trials longer than others."""
    with np.load(root / "braille" / FILE) as file:
        x = file["x"]
    random = np.random.default_rng(0)
    trials = []
    for trial in x:
        more = random.integers(0, 255, (random.integers(0, 3), 12))
        trials.append({"taxel_data": (255 - np.concatenate([trial, more]).astype(np.int16)), "letter": "A"})
    trials[7]["taxel_data"] = trials[7]["taxel_data"][:76]
    return trials


@pytest.mark.one_in(4)
@pytest.mark.parametrize("protocol", [2, 4])
def test_the_tutorials_pickle_gives_the_same_letters(root, protocol):
    """Expected: the samples of the .npz file, bit for bit, without unpickling."""
    expected = Braille().load(root)
    data = pickle.dumps(original(root), protocol)
    (root / "braille" / FILE).unlink()
    (root / "braille" / ORIGINAL).write_bytes(gzip.compress(data, 1))
    found = Braille().load(root)
    assert Braille().missing(root) is None
    for split, part in expected.items():
        assert (found[split].values == part.values).all()
        assert (found[split].target == part.target).all()


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda trials: trials[:-1], "1349 trials, not 1350"),
        (lambda trials: trials[0], "not a list of trials"),
        (lambda trials: [{}, *trials[1:]], "trial 0 has no taxel_data"),
        (
            lambda trials: [{"taxel_data": np.zeros((76, 11))}, *trials[1:]],
            r"trial 0 has taxel_data of shape \(76, 11\)",
        ),
        (lambda trials: [{"taxel_data": np.full((76, 12), 300)}, *trials[1:]], "trial 0 has a value outside 0..255"),
        (
            lambda trials: [{"taxel_data": np.zeros((50, 12))}, *trials[1:]],
            r"trial 0 has taxel_data of shape \(50, 12\)",
        ),
    ],
)
def test_another_pickle_is_one_line(root, change, complaint):
    """Expected: an InputError that names the file and what is other than published."""
    data = pickle.dumps(change(original(root)))
    (root / "braille" / FILE).unlink()
    (root / "braille" / ORIGINAL).write_bytes(gzip.compress(data, 1))
    with pytest.raises(InputError, match=rf"{ORIGINAL}: {complaint}"):
        Braille().load(root)
