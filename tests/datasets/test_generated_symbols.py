"""Generated sequences of symbols, sines and sums: their rules, read off what was drawn.

Legend: S samples, N channels; a place is where a symbol stands.
"""

import numpy as np
import pytest
import torch

import sgbench
from sgbench.errors import InputError
from tests.datasets.generators import NOWHERE, counts, load, small

SILENT = -1


def symbols_of(name: str, count: int, **changes: object) -> tuple[np.ndarray, np.ndarray]:
    """Symbols [S, places] and classes as the entry draws them."""
    task = sgbench.create(f"dataset/{name}", **changes)
    return task.sequences(np.random.Generator(np.random.PCG64(5)), count)


def test_each_symbol_fires_its_own_channels_while_it_lasts():
    """Expected at 1000 Hz: each channel of the place's symbol in each of its steps, and no other channel."""
    task = small("copy_memory", rate_hz=1000.0)
    part = task.load(NOWHERE)["train"]
    symbols, _ = task.sequences(task.random(0), 12)
    for place in range(symbols.shape[1]):
        fired = counts(part.values, 4 * place, 4 * place + 4)
        expected = np.zeros_like(fired)
        for sample, symbol in enumerate(symbols[:, place]):
            if symbol != SILENT:
                expected[sample, 3 * symbol : 3 * symbol + 3] = 4
        assert (fired == expected).all()


def test_copied_letters_are_due_while_the_cue_lasts():
    """Expected: letters, silence, cue; labels only at the cue, and those of the letters in order."""
    symbols, classes = symbols_of("copy_memory", 500)
    assert (symbols[:, 3:7] == SILENT).all()
    assert (symbols[:, 7:] == 8).all()
    assert (classes[:, :7] == -1).all()
    assert (classes[:, 7:] == symbols[:, :3]).all()
    assert np.bincount(symbols[:, :3].ravel(), minlength=8).min() > 1500 / 8 - 5 * np.sqrt(1500 / 8)
    assert load("copy_memory")["test"].target.shape == (500, 50)


def test_the_order_is_that_of_the_two_symbols_that_tell():
    """Expected: two symbols below 2, at the spans' places; the class reads them as binary digits; balanced."""
    symbols, classes = symbols_of("temporal_order", 400)
    for row, label in zip(symbols, classes, strict=True):
        (first, second) = np.flatnonzero(row < 2)
        assert 1 <= first <= 3
        assert 9 <= second <= 11
        assert label == 2 * row[first] + row[second]
    assert np.bincount(classes).tolist() == [100] * 4
    assert set(np.unique(symbols)) == set(range(6))


@pytest.mark.parametrize("middle", [[3, 11], [9, 20], [9]])
def test_places_that_overlap_or_end_outside_are_refused(middle):
    """Expected: an InputError that names the option."""
    with pytest.raises(InputError, match=r"^dataset\.middle="):
        small("temporal_order", early=[1, 3], middle=middle, places=20)


def test_brackets_nest_and_the_innermost_open_one_is_asked():
    """Expected by a stack in this test: closings match, depth at most 3, and the class is on top at the end."""
    symbols, classes = symbols_of("brackets", 600)
    last_opens = 0
    for row, label in zip(symbols, classes, strict=True):
        stack: list[int] = []
        for symbol in row:
            if symbol < 3:
                stack.append(symbol)
            else:
                assert stack.pop() == symbol - 3
            assert len(stack) <= 3
        assert stack[-1] == label
        last_opens += row[-1] < 3
    assert 0.3 < last_opens / 600 < 0.8  # the last symbol alone does not tell
    assert np.bincount(classes).min() > 200 - 5 * np.sqrt(200 * 2 / 3)


def test_bits_keep_what_the_last_pulse_set():
    """Expected by following the pulses here; no class before both bits are set, nor during a pulse."""
    symbols, classes = symbols_of("flip_flop", 200)
    assert (symbols[:, 0] < 2).all()
    assert ((symbols[:, 1] == 2) | (symbols[:, 1] == 3)).all()
    for row, labels in zip(symbols, classes, strict=True):
        state = [0, 0]
        for place, symbol in enumerate(row):
            if symbol != SILENT:
                state[symbol // 2] = symbol % 2
            expected = -1 if symbol != SILENT or place < 2 else state[0] + 2 * state[1]
            assert labels[place] == expected
    pulses = (symbols[:, 2:] != SILENT).mean()
    assert abs(pulses - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2800)


def test_a_sine_has_the_frequency_of_its_class():
    """Expected by numpy's Fourier transform of 100 ms without noise: the largest peak is at the class."""
    task = sgbench.create("dataset/sine_frequency", noise=0.0, samples=[60, 6, 6])
    part = task.load(NOWHERE)["train"]
    power = np.abs(np.fft.rfft(part.values[..., 0].numpy() - 0.5, axis=1))
    found = np.fft.rfftfreq(100, 0.001)[power.argmax(1)]
    assert found.tolist() == np.array([10, 20, 30, 40, 60, 80])[part.target.numpy()].tolist()
    size = part.values[..., 0].amax(1) - part.values[..., 0].amin(1)
    assert size.min() > 0.45
    assert size.max() <= 1.0


def test_noise_of_a_sine_stays_within_its_share():
    """Expected: values in [0, 1]; what differs from the same sine without noise is at most half of the share."""
    noisy, plain = (
        sgbench.create("dataset/sine_frequency", noise=share, samples=[60, 6, 6]).load(NOWHERE)["train"]
        for share in (0.2, 0.0)
    )
    assert 0 <= noisy.values.min() < noisy.values.max() <= 1
    left = noisy.values - 0.5 - 0.8 * (plain.values - 0.5)
    assert 0.09 < left.abs().max() <= 0.1 + 1e-5
    assert torch.equal(noisy.target, plain.target)


@pytest.mark.parametrize("given", [[10.0], [10.0, 10.0], "10"])
def test_frequencies_that_are_no_classes_are_refused(given):
    """Expected: an InputError that names the option."""
    with pytest.raises(InputError, match=r"^dataset\.frequencies_hz="):
        small("sine_frequency", frequencies_hz=given)


def test_marked_numbers_are_added():
    """Expected: one mark in each half; the class is whether the two are above 1 together; about a half are."""
    part = load("adding")["train"]
    numbers, marks = part.values[..., 0], part.values[..., 1]
    assert (marks[:, :20].sum(1) == 1).all()
    assert (marks[:, 20:].sum(1) == 1).all()
    assert torch.equal(((numbers * marks).sum(1) > 1).long(), part.target)
    assert abs(part.target.double().mean() - 0.5) < 5 * 0.5 / np.sqrt(1000)


@pytest.mark.parametrize(("question", "classes"), [("cue", 4), ("match", 2)])
def test_a_delayed_response_is_decided_by_the_ends_of_a_silence(question, classes):
    """Expected by reading both ends here: the class is the first cue, or whether the last is the same; balanced."""
    task = sgbench.create("dataset/delayed_response", question=question)
    symbols, target = task.sequences(np.random.default_rng(0), 400)
    assert symbols.shape == (400, 20)
    assert (symbols[:, 1:-1] == SILENT).all()
    if question == "cue":
        assert (target == symbols[:, 0]).all()
        assert (symbols[:, -1] == 4).all()
    else:
        assert (target == (symbols[:, 0] == symbols[:, -1])).all()
        assert set(np.unique(symbols[:, -1])) == set(range(4))
    assert np.bincount(target).tolist() == [400 // classes] * classes
    assert task.n_classes == classes


def test_an_unknown_question_is_refused():
    """Expected: an InputError that names the option and its values."""
    with pytest.raises(InputError, match=r"^dataset\.question='name': one of cue, match"):
        sgbench.create("dataset/delayed_response", question="name")
