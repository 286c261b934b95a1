"""What a recording says of itself, how it is shifted in time, and what a network makes of it."""

import keras
import numpy as np
import pytest

from resnet.forms import augmentation, statistics
from resnet.forms.data_spec import DataSpec
from resnet.forms.wave.augmentation import augment
from resnet.forms.wave.sound import SILENCE, to_bytes
from resnet.model import model_file
from resnet.nets.build import build, published
from resnet.params import Augment, Net

DATA = DataSpec("wave", (8000, 2), [], [], classes=3)
SHIFTS = Augment(flip="none", pad=10, fill="mean")
NET = Net(
    block="basic",
    shortcut="A",
    depth=8,
    widths=(4, 8, 8),
    stem="convolution",
    stem_stride=2,
    activation="relu",
    views=1,
)


def recordings(count: int = 3, loud: float = 8000) -> np.ndarray:
    """Noise of half a second, and silence."""
    sound = np.zeros((count, 8000), np.int32)
    sound[:, :4000] = np.random.default_rng(0).normal(0, loud, (count, 4000)).clip(-32768, 32767)
    return to_bytes(sound)


def test_level_and_length_are_those_of_the_sound_before_the_silence() -> None:
    full, half = np.full((1, 8000), 32767), np.full((1, 8000), 16384)
    half[:, 2000:] = 0
    silent = np.zeros((1, 8000), int)
    features = statistics.of("wave").features(to_bytes(np.concatenate([full, half, silent])))
    assert features["level"].tolist() == [96.0, 89.98, 0.0]
    assert features["length"].tolist() == [1.0, 0.25, 0.0]
    assert {one.size for one in statistics.histograms("wave", recordings()).values()} == {3}


def test_a_shifted_recording_is_the_same_later_or_earlier_with_silence_beside_it() -> None:
    samples = recordings()
    shifts = np.array([0, 80, -240], np.int32)
    moved = np.asarray(augment(samples, (shifts,), SHIFTS, DATA))
    np.testing.assert_array_equal(moved[0], samples[0])
    np.testing.assert_array_equal(moved[1, 80:], samples[1, :-80])
    assert (moved[1, :80] == SILENCE).all()
    np.testing.assert_array_equal(moved[2, :-240], samples[2, 240:])
    assert (moved[2, -240:] == SILENCE).all()
    assert moved.dtype == np.uint8


def test_shifts_are_drawn_for_each_recording_up_to_the_greatest_to_either_side() -> None:
    (shift_kb,) = augmentation.draw("wave", 0, 1, range(9), 900, 100, SHIFTS).augmentation
    assert (shift_kb.min(), shift_kb.max()) == pytest.approx((-800, 800), abs=10)
    assert abs(shift_kb.mean()) < 60
    alone = augmentation.draw("wave", 0, 1, range(6, 8), 900, 100, SHIFTS).augmentation[0]
    np.testing.assert_array_equal(alone, shift_kb[6:8])


def test_an_answer_does_not_depend_on_the_neighbours_nor_on_how_loud_a_recording_is() -> None:
    network = build(NET, DATA)
    quiet, loud = recordings(1, loud=800), recordings(1, loud=8000)
    alone = np.asarray(network(quiet, training=False))
    beside = np.asarray(network(np.concatenate([loud, quiet]), training=False))[1:]
    np.testing.assert_allclose(beside, alone, atol=1e-5)
    np.testing.assert_allclose(network(loud, training=False), alone, atol=0.02)


def test_the_maps_are_forty_standardised_mel_energies_per_hundredth_of_a_second() -> None:
    network = build(NET, DATA)
    maps = keras.Model(network.input, network.get_layer("maps").output)
    (values,) = np.asarray(maps(recordings(1), training=False))
    assert values.shape == (101, 40, 1)
    assert values.mean() == pytest.approx(0, abs=1e-4)
    assert values.std() == pytest.approx(1, abs=1e-2)


def test_silence_is_answered_too() -> None:
    assert np.isfinite(build(NET, DATA)(recordings(1, loud=0), training=False)).all()


def test_a_saved_model_loads_safely_and_two_builds_have_one_hash(tmp_path) -> None:
    network = build(NET, DATA)
    one, other = (published(NET, DATA, network.get_weights()) for _ in range(2))
    assert model_file.model_hash(one) == model_file.model_hash(other)
    model_file.save(one, tmp_path / "model.keras")
    loaded = model_file.load(tmp_path / "model.keras")
    assert model_file.model_hash(loaded) == model_file.model_hash(one)
    samples = recordings()
    expected = np.asarray(one(samples, training=False))
    np.testing.assert_array_equal(loaded(samples, training=False), expected)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)
