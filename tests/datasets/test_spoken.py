"""Spoken words as spikes: the front end against loops, the splits, the files, and what is wrong with them.

Legend: a fake is a small data set in the published format; f frequency, v membrane potential.
"""

import hashlib
import math
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from sgbench.cli.main import main
from sgbench.datasets.base import SPLITS, sizes
from sgbench.datasets.checks import check
from sgbench.datasets.formats.spike_hdf5 import recordings
from sgbench.datasets.fsdd import Fsdd, FsddRecordings, FsddSpeaker
from sgbench.datasets.speech_commands import LISTS, SpeechCommands
from sgbench.datasets.spoken import FrontEnd, in_batches, read_wav
from sgbench.errors import InputError
from sgbench.paths import default_data_dir
from tests.datasets.fakes import fake_fsdd, fake_speech_commands, write_wav
from tests.messages import lines_naming, raises_naming

FRONT_END = FrontEnd(rate_hz=8000, channels=16)
PREPARED = default_data_dir() / "FSDD-spikes" / "fsdd_test.h5"  # made by another program with the same numbers


@pytest.fixture
def fsdd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with three voices that say each digit three times."""
    fake_fsdd(tmp_path / "FSDD", speakers=("theo", "george", "lucas"), numbers=(0, 5, 10), seed=1)
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(FsddRecordings, "least", 90)
    monkeypatch.setattr(Fsdd, "sizes", sizes(30, 30, 30))
    monkeypatch.setattr(FsddSpeaker, "sizes", sizes(30, 30, 30))
    for each in (Fsdd, FsddSpeaker):
        monkeypatch.setattr(each, "sha256", None, raising=False)
    return tmp_path


def tone(f: float, seconds: float = 0.1) -> np.ndarray:
    return np.sin(2 * np.pi * f * np.arange(round(8000 * seconds)) / 8000)


# --- the front end


def test_centres_lie_evenly_on_the_erb_scale():
    """Expected: Glasberg & Moore's rate scale; equal steps of it, ends as asked, and denser at low frequencies."""
    centres = FrontEnd(rate_hz=8000).centres_hz()
    rate = 21.4 * np.log10(1 + 0.00437 * centres)
    np.testing.assert_allclose(np.diff(rate), np.diff(rate)[0], rtol=1e-9)
    np.testing.assert_allclose(centres[[0, -1]], [80, 3800])
    assert (np.diff(centres, 2) > 0).all()


@pytest.mark.parametrize("f", [200.0, 700.0, 2500.0])
def test_a_tone_is_heard_by_the_nearest_channel(f):
    """Expected: the strongest drive, after the filters have swung in, in the channel whose centre is nearest."""
    drive = FRONT_END.drive([tone(f)])[100:, 0].mean(0)
    assert drive.argmax() == np.abs(FRONT_END.centres_hz() - f).argmin()


def test_the_filter_has_the_impulse_response_of_a_gammatone():
    """Expected: t^3 e^(-2 pi b t) cos(2 pi f t) with b = 1.019 ERB(f), rectified and averaged by hand."""
    front_end = FrontEnd(rate_hz=8000, low_hz=500, high_hz=501, channels=2, level=1.0, exponent=1.0)
    click = np.zeros(400)
    click[40] = 1.0
    drive = front_end.drive([click])[:, 0, 0]
    b = 1.019 * 24.7 * (0.00437 * 500 + 1)
    t = np.arange(400 - 40) / 8000
    response = np.r_[np.zeros(40), t**3 * np.exp(-2 * np.pi * b * t) * np.cos(2 * np.pi * 500 * t)]
    expected = np.maximum(response, 0).reshape(-1, 4).mean(1)
    assert np.corrcoef(drive, expected)[0, 1] > 0.99


def by_hand(drive: np.ndarray, front_end: FrontEnd) -> list[tuple[int, int]]:
    """Step and channel of the spikes of [steps, channels], one neuron after the other."""
    decay = math.exp(-front_end.step_s / front_end.tau_s)
    found = []
    for channel in range(drive.shape[1]):
        v, last = 0.0, -math.inf
        for step, now in enumerate(drive[:, channel]):
            v = v * decay + front_end.gain * now
            if v >= 1 and (step - last) * front_end.step_s >= front_end.refractory_s - 1e-12:
                v, last = 0.0, step
                found.append((step, channel))
    return sorted(found)


def test_spikes_equal_a_loop_over_one_neuron_at_a_time():
    """Expected: a plain loop; spikes at the beginning of their step, no two of a channel within 2 ms."""
    sound = tone(700) + 0.3 * np.random.default_rng(0).standard_normal(800)
    time_us, channel = FRONT_END.spikes([sound])[0]
    expected = by_hand(FRONT_END.drive([sound])[:, 0], FRONT_END)
    assert len(expected) > 20
    assert list(zip((time_us // 500).tolist(), channel.tolist(), strict=True)) == expected
    assert all((np.diff(time_us[channel == each]) >= 2000).all() for each in range(16))


def test_sounds_do_not_hear_each_other():
    """Expected: the same spikes alone and among longer and shorter ones, whatever the size of a batch."""
    sounds = [tone(400, 0.05), tone(900, 0.11), np.zeros(100), tone(1500, 0.02)]
    alone = [FRONT_END.spikes([sound])[0] for sound in sounds]
    for size in (1, 3, 4):
        for one, (sound, *other) in zip(alone, in_batches(FRONT_END, sounds, size), strict=True):
            assert all((a == b).all() for a, b in zip(one, other, strict=True))
            assert (other[0] < FRONT_END.duration_us(sound)).all()


def test_loudness_does_not_matter_and_silence_is_silent():
    """Expected: the level is made equal, so a sound a hundred times weaker gives the same; zeros give nothing."""
    loud, quiet = FRONT_END.spikes([tone(600), 0.01 * tone(600) + 0.2])
    assert abs(len(loud[0]) - len(quiet[0])) <= 1
    assert len(FRONT_END.spikes([np.zeros(800)])[0][0]) == 0
    assert len(FRONT_END.spikes([np.ones(2)])[0][0]) == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"step_s": 0.0003}, r"a step of 0\.0003 s is no whole number of samples"),
        ({"rate_hz": 32_000_000, "step_s": 5e-7}, r"no whole number of microseconds"),
        ({"high_hz": 4000.0}, r"0 < 80 < 4000 < 4000 Hz does not hold"),
        ({"low_hz": 0.0}, r"0 < 0 < 3800"),
    ],
)
def test_impossible_numbers_are_refused(changes, complaint):
    """Expected: one line."""
    with pytest.raises(InputError, match=f"^front end: .*{complaint}"):
        FrontEnd(**{"rate_hz": 8000, **changes})


def test_statistics_are_those_of_the_spikes_that_another_program_made():
    """Expected: FSDD's test spikes as made before; as many a sample within 1 %, and in each channel."""
    h5py = pytest.importorskip("h5py")
    absent = Fsdd().missing(default_data_dir())
    if absent is not None or not PREPARED.is_file():
        pytest.skip(absent or f"{PREPARED} is not there")
    own = Fsdd().utterances(default_data_dir() / "FSDD")["test"][::25]
    root = default_data_dir() / "FSDD"
    ours = FrontEnd(rate_hz=8000).spikes([read_wav(root / each.name, 8000) for each in own])
    with h5py.File(PREPARED) as file:
        names = [name.decode() for name in file["extra/speaker_names"]]
        speaker, label = [names[each] for each in file["extra/speaker"][()]], file["labels"][()].tolist()
        where: dict[tuple[str, int], list[int]] = {}
        for row, key in enumerate(zip(speaker, label, strict=True)):
            where.setdefault(key, []).append(row)
        theirs = [file["spikes/units"][where[each.speaker, each.label][each.number]] for each in own]
    counts = np.array([[len(mine[1]), len(other)] for mine, other in zip(ours, theirs, strict=True)])
    assert np.abs(counts[:, 0] - counts[:, 1]).max() <= 0.01 * counts.mean()
    rates = [np.bincount(np.concatenate(each), minlength=64) / len(own) for each in ([c for _, c in ours], theirs)]
    np.testing.assert_allclose(rates[0], rates[1], atol=0.02 * rates[1].mean())


# --- the splits


def test_official_split_is_by_the_number_of_the_recording(fsdd):
    """Expected: 0-4 test, 5-9 validate, the rest train; every voice and digit in each."""
    splits = Fsdd().load(fsdd)
    check(Fsdd(), splits)
    for split, numbers in {"test": {0}, "validation": {5}, "train": {10}}.items():
        own = Fsdd().utterances(fsdd / "FSDD")[split]
        assert {each.number for each in own} == numbers
        assert {(each.speaker, each.label) for each in own} == {
            (speaker, digit) for speaker in ("theo", "george", "lucas") for digit in range(10)
        }
        assert splits[split].target.tolist() == [each.label for each in own]


def test_spikes_of_a_sample_are_those_of_its_file(fsdd):
    """Expected: the front end on the file that the split names; as long as the sound."""
    own, part = Fsdd().utterances(fsdd / "FSDD")["validation"], Fsdd().load(fsdd)["validation"]
    for place in (0, 17, 29):
        sound = read_wav(fsdd / "FSDD" / own[place].name, 8000)
        (time_us, channel) = Fsdd.front_end.spikes([sound])[0]
        one = part.values[torch.tensor([place])]
        assert one.time_us.tolist() == time_us.tolist()
        assert one.channel.tolist() == channel.tolist()
        assert one.duration_us.item() == len(sound) // 4 * 500


def test_speakers_of_splits_are_disjoint(fsdd):
    """Expected: one voice tests, one validates, the others train; by name, and refused where they are one."""
    made = FsddSpeaker(test_speaker="george", validation_speaker="theo")
    own = made.utterances(fsdd / "FSDD")
    assert [{each.speaker for each in own[split]} for split in SPLITS] == [{"lucas"}, {"theo"}, {"george"}]
    check(made, made.load(fsdd))
    with raises_naming(InputError, "dataset.validation_speaker='theo'", "test speaker"):
        FsddSpeaker(test_speaker="theo", validation_speaker="theo")
    with raises_naming(InputError, "dataset.test_speaker='bob'", "george", "theo"):
        FsddSpeaker(test_speaker="bob", validation_speaker="theo")


def test_other_recordings_have_another_checksum(fsdd):
    """Must differ: one byte of one sound changes the data set's checksum, and equal sounds give equal ones."""
    first, second = Fsdd(), Fsdd()
    assert first.verify(first.load(fsdd)) == second.verify(second.load(fsdd))
    path = fsdd / "FSDD" / "recordings" / "3_theo_5.wav"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    changed = Fsdd()
    assert changed.verify(changed.load(fsdd)) != first.found_sha256


def test_speech_commands_follow_the_official_lists(tmp_path, monkeypatch):
    """Expected: the lists' speakers validate and test, what is in neither trains, noise is in none."""
    fake_speech_commands(tmp_path / "speech_commands_v0.02", speakers=4, seed=0)
    monkeypatch.setattr(SpeechCommands, "least", 140)
    own = SpeechCommands().utterances(tmp_path / "speech_commands_v0.02")
    assert [{each.speaker for each in own[split]} for split in SPLITS] == [
        {"00000002", "00000003"},
        {"00000000"},
        {"00000001"},
    ]
    assert all({each.label for each in part} == set(range(35)) for part in own.values())
    assert own["test"][5].name == "down/00000001_nohash_0.wav"
    assert SpeechCommands.words[own["test"][6].label] == "eight"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("../../etc/passwd\n", r"names '\.\./\.\./etc/passwd', which is not there"),
        ("bed/00000009_nohash_0.wav\n", "which is not there"),
        ("bed/00000001_nohash_0.wav\n", "is in both lists"),
        (b"\xff\xfe\x00", "not a list of file names"),
    ],
)
def test_strange_lists_are_one_line(tmp_path, monkeypatch, text, complaint):
    """Expected: an InputError on one line."""
    root = tmp_path / "speech_commands_v0.02"
    fake_speech_commands(root, speakers=2, seed=0)
    monkeypatch.setattr(SpeechCommands, "least", 70)
    (root / LISTS["validation"]).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=complaint) as caught:
        SpeechCommands().utterances(root)
    assert "\n" not in str(caught.value)


# --- files


def test_prepared_files_hold_the_spikes_in_the_heidelberg_layout(fsdd, capsys):
    """Expected: what our strict reader finds is what was trained on; equal bytes when written again."""
    h5py = pytest.importorskip("h5py")
    assert main(["data", "prepare", "fsdd", "--to", str(fsdd / "out")]) == 0
    part, path = Fsdd().load(fsdd)["test"], fsdd / "out" / "fsdd_test.h5"
    for place, found in enumerate(recordings(path, range(30), 10)):
        own = part.values[torch.tensor([place])]
        assert found.target == part.target[place]
        assert np.asarray(found.channel).tolist() == own.channel.tolist()
        assert np.asarray(found.time_us).tolist() == own.time_us.tolist()
    with h5py.File(path) as file:
        assert file["extra/keys"][()].tolist() == [str(digit).encode() for digit in range(10)]
        names = file["extra/speaker_names"][()].tolist()
        assert [names[each] for each in file["extra/speaker"][:11:10]] == [b"george", b"lucas"]
        assert file["extra/meta_info/recording"][:].tolist() == [0] * 30
    first = hashlib.sha256(path.read_bytes()).digest()
    assert main(["data", "prepare", "fsdd", "--to", str(fsdd / "out")]) == 0
    assert hashlib.sha256(path.read_bytes()).digest() == first
    assert sorted(each.name for each in (fsdd / "out").iterdir()) == [f"fsdd_{split}.h5" for split in sorted(SPLITS)]
    capsys.readouterr()
    assert main(["data", "prepare", "yin_yang", "--to", str(fsdd / "out")]) == 2
    assert lines_naming(capsys.readouterr().err, "yin_yang", "words")


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    changed = {
        "cut": data[:-30],
        "cut in the header": data[:30],
        "empty": b"",
        "a web page": b"<html>404</html>" * 9,
        "huge": data[:40] + struct.pack("<I", 2**31 - 2) + data[44:],
        "no sound": data[:40] + struct.pack("<I", 0),
        "float": data[:20] + struct.pack("<H", 3) + data[22:],
    }
    if how in changed:
        path.write_bytes(changed[how])
    elif how == "rate":
        write_wav(path, np.zeros(99), 16000)
    elif how == "stereo":
        with wave.open(str(path), "wb") as file:
            file.setparams((2, 2, 8000, 3, "NONE", ""))
            file.writeframes(bytes(12))
    elif how == "name":
        path.rename(path.with_name("three_theo_5.wav"))
    elif how == "missing":
        path.unlink()


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("cut", r"3_theo_5\.wav: holds \d+ of \d+ samples, cut off; fetch it again$"),
        ("cut in the header", r"3_theo_5\.wav: no whole \.wav file"),
        ("empty", r"3_theo_5\.wav: no whole \.wav file \(it ends too early\); fetch it again$"),
        ("a web page", r"3_theo_5\.wav: no whole \.wav file"),
        ("huge", r"3_theo_5\.wav: declares more than 60 s"),
        ("no sound", r"3_theo_5\.wav: holds no sound"),
        ("float", r"3_theo_5\.wav: no whole \.wav file \(unknown format: 3\)"),
        ("rate", r"3_theo_5\.wav: 1 channels of 16 bits at 16000 Hz, not 1 of 16 at 8000"),
        ("stereo", r"3_theo_5\.wav: 2 channels of 16 bits at 8000 Hz"),
        ("name", r"three_theo_5\.wav: not DIGIT_SPEAKER_NUMBER\.wav of george, "),
        ("missing", r"holds 89 files \*\.wav, at least 90 are needed; put the folder recordings of "),
    ],
)
def test_a_damaged_recording_ends_the_command_with_one_line(fsdd, how, complaint, capsys):
    """Expected: exit code 2 and one line that names the file; nothing half prepared is left."""
    spoil(fsdd / "FSDD" / "recordings" / "3_theo_5.wav", how)
    assert main(["data", "check", "fsdd"]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    with pytest.raises(InputError, match=complaint):
        Fsdd().load(fsdd)
    left = [path for path in (fsdd / "cache").glob("*") if not path.name.startswith(".")]
    assert not left
