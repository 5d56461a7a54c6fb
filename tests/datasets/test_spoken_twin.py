"""Digits spoken by a program: who says what how often, the ear against plain sums, files, and what is refused.

Legend: a take is one recording of one word by one speaker; f frequency.
"""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sgbench.cli.main import main
from sgbench.datasets import espeak, spoken_twin
from sgbench.datasets.base import SPLITS
from sgbench.datasets.checks import check
from sgbench.datasets.formats.spike_hdf5 import LABELS, SPEAKER, numbers
from sgbench.datasets.spoken_twin import TAKES, UNKNOWN, VOICES, WORDS, InnerEar, SpokenTwin, takes
from sgbench.errors import InputError
from tests.messages import lines_naming, missing, raises_naming

EAR = InnerEar(rate_hz=8000, high_hz=3500.0, channels=24)
VERSION = "9.9"


def tone(f: float, seconds: float = 0.2) -> np.ndarray:
    return np.sin(2 * np.pi * f * np.arange(round(8000 * seconds)) / 8000)


def twin(first: int | None = 240) -> SpokenTwin:
    return SpokenTwin(validation_speakers=[9], espeak_ng=VERSION, first=first)


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch, cache: Path) -> list[espeak.Saying]:
    """In place of espeak-ng a tone whose frequency tells the word, and a list of what was asked for."""
    asked: list[espeak.Saying] = []

    def say(saying: espeak.Saying) -> np.ndarray:
        asked.append(saying)
        f = 200 + 150 * WORDS.index(f"{saying.language} {saying.word}")
        length = round(espeak.RATE_HZ * 10 / saying.words_a_minute)
        return np.round(9000 * np.sin(2 * np.pi * f * np.arange(length) / espeak.RATE_HZ)).astype(np.int16)

    monkeypatch.setattr(espeak, "say", say)
    monkeypatch.setattr(espeak, "version", lambda: VERSION)
    return asked


# --- who says what


def test_sizes_and_speakers_are_those_of_shd():
    """Expected, of Cramer et al. and the files of SHD: 8156 and 2264 takes of 20 words by 12 speakers, two of whom
    are in the test alone; by hand 2 x 20 x 43 = 1720 takes of those, and the rest evenly, to one take a pair."""
    parts = {split: takes(split) for split in TAKES}
    assert {split: len(own) for split, own in parts.items()} == {"train": 8156, "test": 2264}
    assert {take.speaker for take in parts["train"]} == set(range(12)) - set(UNKNOWN)
    assert {take.speaker for take in parts["test"]} == set(range(12))
    for split, own in parts.items():
        assert len(set(own)) == len(own)
        counts = Counter((take.speaker, take.label) for take in own)
        known = [count for (speaker, _), count in counts.items() if speaker not in UNKNOWN]
        assert len(known) == 200
        assert max(known) - min(known) == 1
        assert {counts[speaker, label] for speaker in UNKNOWN for label in range(20)} == (
            {43} if split == "test" else {0}
        )


def test_the_first_takes_have_every_speaker_and_word():
    """Expected by hand: 10 x 20 pairs in training and 12 x 20 in the test, each once."""
    assert len({(take.speaker, take.label) for take in takes("train")[:200]}) == 200
    assert len({(take.speaker, take.label) for take in takes("test")[:240]}) == 240
    with pytest.raises(InputError, match=r"dataset\.first"):
        twin(239)


def test_a_take_is_its_own_and_keeps_to_its_speaker(parrot):
    """Must match: the same take twice. Must differ: another number, and another file. Pitch, range and speed lie in
    the stated bands around the speaker's habit, and reach both halves of them."""
    take = takes("train")[0]
    once, again = (spoken_twin.sound("train", take) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    for split, other in (("train", take._replace(number=1)), ("test", take)):
        spoken_twin.sound(split, other)
    assert parrot[0] == parrot[1]
    assert len({parrot[0], parrot[2], parrot[3]}) == 3
    parrot.clear()
    for number in range(60):
        spoken_twin.sound("train", take._replace(number=number))
    voice = VOICES[take.speaker]
    speeds = np.array([saying.words_a_minute for saying in parrot]) / voice.words_a_minute
    pitches = np.array([saying.pitch for saying in parrot]) - voice.pitch
    assert (speeds.min() < 0.85) & (speeds.max() > 1.15)
    assert 0.74 < speeds.min() <= speeds.max() < 1.26
    assert -15 <= pitches.min() < -5
    assert 5 < pitches.max() <= 15
    assert all(20 <= saying.pitch_range <= 80 and saying.variant == voice.variant for saying in parrot)


def test_noise_is_30_db_below_the_word(parrot):
    """Expected: 20 log10(0.03) = -30.5 dB, of the word's own root mean square; a sixth decimal is chance."""
    take = takes("train")[0]
    noisy = spoken_twin.sound("train", take)
    clean = espeak.say(parrot[0]).astype(float)
    level = np.sqrt(np.mean((noisy - clean) ** 2) / np.mean(clean**2))
    assert 20 * np.log10(level) == pytest.approx(-30.46, abs=0.1)


# --- the ear


@pytest.mark.parametrize("own", [3, 11, 20])
def test_a_tone_is_heard_by_the_channel_around_it(own):
    """Expected: most spikes in the channel whose centre it has, and fewer with distance."""
    _, channel = EAR.spikes([tone(EAR.centres_hz()[own])])[0]
    counts = np.bincount(channel, minlength=24)
    assert counts[own] == counts.max() > counts[[own - 2, own + 2]].max()


def test_bands_are_a_gammatone_filtered_by_convolution():
    """Expected: the envelope of a tone through the analytic gammatone t^3 exp(-2 pi b t + 2 pi i f t), convolved
    sample by sample; 2 (2 pi b)^4 / 3! makes its gain 2 at its centre, which the analytic signal of a tone of
    amplitude 1/2 brings back to 1. Away from the ends, since a finite transform wraps around there."""
    ear = InnerEar(rate_hz=8000, low_hz=300.0, high_hz=1500.0, channels=5, step_s=0.0005)
    sound = tone(600, 0.2)
    drive = ear._drive([sound], ear.blocks(sound))[:, 0]
    t = np.arange(400) / 8000
    for channel, centre in enumerate(ear.centres_hz()):
        b = 1.019 * 24.7 * (1 + 0.00437 * centre)
        kernel = (2 * np.pi * b) ** 4 / 6 * t**3 * np.exp((-2 * np.pi * b + 2j * np.pi * centre) * t) / 8000
        levelled = 0.1 * sound / np.sqrt(np.mean(sound**2))
        envelope = np.abs(2 * np.convolve(levelled, kernel)[: len(sound) : 4])
        expected = ear.gain * np.sqrt(envelope)
        np.testing.assert_allclose(drive[150:350, channel], expected[150:350], rtol=0.03)


def test_sounds_do_not_depend_on_their_company():
    """Must match: each sound alone. Must differ: another loudness gives the same spikes, another tone others."""
    sounds = [tone(300), tone(900, 0.13), tone(1800), 5 * tone(300)]
    together = EAR.spikes(sounds)
    for sound, (time_us, channel) in zip(sounds, together, strict=True):
        alone = EAR.spikes([sound])[0]
        np.testing.assert_array_equal(alone[0], time_us)
        np.testing.assert_array_equal(alone[1], channel)
        assert time_us.max() < len(sound) / 8000 * 1e6
        assert (np.diff(time_us) >= 0).all()
        assert (time_us % 1000 == 0).all()
    np.testing.assert_array_equal(together[0][1], together[3][1])
    assert not np.array_equal(together[0][1], together[2][1])


def test_a_neuron_rests_after_a_spike():
    """Expected: no two spikes of a channel nearer than the refractory time of 2 ms."""
    time_us, channel = EAR.spikes([tone(700)])[0]
    for one in np.unique(channel):
        assert np.diff(time_us[channel == one]).min() >= 2000


# --- files


def test_made_files_are_read_as_shd_is(parrot, tmp_path):
    """Expected: both files in the layout of SHD, twice the same bytes; speaker 9 alone validates; a class has its
    own channels, since the parrot's words are tones."""
    made = twin()
    lines = list(made.make(tmp_path))
    assert len(lines) == 2
    train, test = (tmp_path / "spoken_twin" / name for name in made.files)
    assert numbers(train, LABELS).tolist() == [take.label for take in takes("train")[:240]]
    assert numbers(test, SPEAKER).tolist() == [take.speaker for take in takes("test")[:240]]
    before = train.read_bytes()
    list(made.make(tmp_path))
    assert train.read_bytes() == before
    splits = made.load(tmp_path)
    assert check(made, splits) == made.found_sha256
    held = [take for take in takes("train")[:240] if take.speaker == 9]
    assert {split: len(splits[split].target) for split in SPLITS} == {
        "train": 240 - len(held),
        "validation": len(held),
        "test": 240,
    }
    assert splits["validation"].target.tolist() == [take.label for take in held]
    one = splits["train"].values[splits["train"].target.eq(3).nonzero()[:1, 0]]
    heard = np.bincount(one.channel.numpy(), minlength=700).argmax()
    assert SpokenTwin.ear.centres_hz()[heard] == pytest.approx(650, rel=0.05)


@pytest.mark.slow
def test_another_speech_has_another_checksum(parrot, tmp_path, monkeypatch):
    """Must match: the same files prepared anew. Must differ: a louder noise, which another espeak-ng might be."""
    sums = []
    for noise in (0.03, 0.03, 0.3):
        monkeypatch.setattr(spoken_twin, "NOISE", noise)
        made = twin()
        list(made.make(tmp_path))
        made.load(tmp_path)
        sums.append(made.found_sha256)
    assert sums[0] == sums[1] != sums[2]
    made.sha256 = sums[0]
    with raises_naming(InputError, sums[2][:12], sums[0][:12]):
        check(made, made.load(tmp_path))


def test_without_the_program_one_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    """Expected: exit code 2 and the remedy; and of the files, how they are made."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["data", "make", "spoken_twin", "--data-dir", str(tmp_path)]) == 2
    assert missing(capsys.readouterr().err, "espeak-ng", "apt-get install espeak-ng") == []
    assert lines_naming(twin().missing(tmp_path), "sgbench data make spoken_twin", "--first 240")


def test_another_version_is_refused_with_the_remedy(monkeypatch, tmp_path):
    """Expected: one line; the version that speaks is part of the data set."""
    monkeypatch.setattr(espeak, "version", lambda: "1.0")
    with raises_naming(InputError, "espeak-ng 1.0", "9.9", "espeak_ng: 1.0"):
        list(twin().make(tmp_path))


def test_nothing_else_is_made(capsys):
    """Expected: one line for a data set whose files come from elsewhere."""
    assert main(["data", "make", "shd"]) == 2
    assert lines_naming(capsys.readouterr().err, "shd")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_program_speaks_the_same_twice():
    """Must match: the same words twice. Must differ: another voice, and another word."""
    saying = espeak.Saying("drei", "de", "f1", 50, 50, 120)
    once = espeak.say(saying)
    np.testing.assert_array_equal(once, espeak.say(saying))
    assert 0.15 < len(once) / espeak.RATE_HZ < 1.5
    for other in (saying._replace(variant="m3"), saying._replace(word="vier")):
        assert not np.array_equal(once, espeak.say(other))
