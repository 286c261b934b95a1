"""Recordings are read as they sound, whatever bits, channels and rate their files have."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from resnet.errors import PipelineError
from resnet.forms import sample_files
from resnet.forms.wave import files
from resnet.forms.wave.sound import SILENCE, to_bytes, to_integers

SHAPE = 8000, 2


def tone(rate: int = 8000, seconds: float = 0.5, hertz: float = 440) -> np.ndarray:
    """From -1 to 1."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def write(path: Path, sound: np.ndarray, rate: int = 8000) -> Path:
    wavfile.write(path, rate, sound)
    return path


def decoded(path: Path) -> np.ndarray:
    """Samples from -1 to 1."""
    return to_integers(files.decode(path, SHAPE)) / 32768


def refused(path: Path, match: str) -> None:
    entry = path, path, lambda file: files.decode(file, SHAPE)
    with pytest.raises(PipelineError, match=rf"{path.name} is not a recording .*{match}"):
        sample_files.read([entry], "a recording", SHAPE)


def test_sixteen_bits_at_the_models_rate_are_kept_to_the_bit_and_silence_follows(
    tmp_path: Path,
) -> None:
    sound = np.random.default_rng(0).integers(-32768, 32768, 3000).astype(np.int16)
    samples = files.decode(write(tmp_path / "a.wav", sound), SHAPE)
    assert samples.dtype == np.uint8
    assert samples.shape == SHAPE
    np.testing.assert_array_equal(to_integers(samples)[:3000], sound)
    assert (samples[3000:] == SILENCE).all()


def test_every_sample_survives_the_way_into_bytes_and_back() -> None:
    every = np.arange(-32768, 32768)
    np.testing.assert_array_equal(to_integers(to_bytes(every)), every)


@pytest.mark.parametrize(
    "stored",
    [
        lambda x: (128 + 127 * x).round().astype(np.uint8),
        lambda x: (32767 * x).round().astype(np.int16),
        lambda x: ((2**31 - 1) * x).round().astype(np.int32),
        lambda x: x.astype(np.float32),
        lambda x: x,
    ],
    ids=["8", "16", "32", "float", "double"],
)
def test_the_same_sound_is_read_from_every_kind_of_sample(tmp_path: Path, stored) -> None:
    sound = decoded(write(tmp_path / "a.wav", stored(tone())))
    np.testing.assert_allclose(sound[:4000], tone(), atol=1 / 100)


def header(bits: int, channels: int, rate: int, size: int, *, extensible: bool) -> bytes:
    block = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", 0xFFFE if extensible else 1, channels, rate, rate * block, block, bits
    )
    if extensible:  # valid bits, speakers, and the identifier of plain integers
        form += struct.pack("<HHI", 22, bits, 0) + struct.pack("<H", 1)
        form += bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + size) + b"WAVE" + chunks


@pytest.mark.parametrize("extensible", [False, True])
def test_24_bits_are_read_also_from_an_extensible_file(tmp_path: Path, extensible: bool) -> None:
    integers = np.round(tone() * (2**23 - 1)).astype(np.int32)
    content = b"".join(int(x).to_bytes(3, "little", signed=True) for x in integers)
    path = tmp_path / "a.wav"
    path.write_bytes(header(24, 1, 8000, len(content), extensible=extensible) + content)
    np.testing.assert_allclose(decoded(path)[:4000], tone(), atol=1e-4)


def test_channels_are_averaged(tmp_path: Path) -> None:
    both = np.stack([tone(), np.zeros(4000)], axis=1).astype(np.float32)
    sound = decoded(write(tmp_path / "a.wav", both))
    np.testing.assert_allclose(sound[:4000], tone() / 2, atol=1e-4)


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 44100, 48000])
def test_another_rate_is_resampled(tmp_path: Path, rate: int) -> None:
    sound = decoded(write(tmp_path / "a.wav", tone(rate).astype(np.float32), rate))
    middle = slice(200, 3800)  # the filter has edges
    np.testing.assert_allclose(sound[middle], tone()[middle], atol=0.01)


def test_what_is_longer_than_the_model_hears_is_cut(tmp_path: Path) -> None:
    sound = decoded(write(tmp_path / "a.wav", tone(16000, seconds=5).astype(np.float32), 16000))
    assert len(sound) == 8000
    np.testing.assert_allclose(sound[200:7800], tone(seconds=1)[200:7800], atol=0.01)


def test_encoded_recordings_are_read_from_memory_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone().astype(np.float32))
    of_memory = files.decode(io.BytesIO(path.read_bytes()), SHAPE)
    np.testing.assert_array_equal(of_memory, files.decode(path, SHAPE))


def test_what_is_no_recording_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for content, match in {
        b"": "",
        b"no sound": "File format",
        header(16, 1, 8000, 0, extensible=False): "it holds no sound",
        header(16, 1, 10, 2, extensible=False) + bytes(2): "its rate is 10 Hz, want 1,000 to",
    }.items():
        path.write_bytes(content)
        refused(path, match)
    whole = write(path, (32767 * tone()).astype(np.int16)).read_bytes()
    path.write_bytes(whole[:2000])
    refused(path, "")
    refused(write(path, np.array([0, np.nan], np.float32)), "not finite numbers")


def test_a_file_that_memory_should_not_hold_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.wav", np.zeros(5000, np.int16))
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    monkeypatch.setattr(wavfile, "read", None)
    refused(path, "at most 1,000 are read: cut it")
