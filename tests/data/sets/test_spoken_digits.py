"""The recordings of the Free Spoken Digit Dataset: every one, in the published split."""

import os
from pathlib import Path

import numpy as np
import pytest

from resnet import params
from resnet.checkout import project
from resnet.data import datasets, fetch, ingest, readers
from resnet.data.profile import Profile
from resnet.system import files
from tests.support import REPOSITORY

DIGITS = datasets.load("spoken-digits")
ARCHIVE = os.environ.get("SPOKEN_DIGITS_ARCHIVE")


def test_each_digit_of_each_speaker_has_fifty_recordings() -> None:
    names = [Path(name).stem.split("_") for name in DIGITS.files]
    assert len(names) == 3000
    assert {(digit, index) for digit, _, index in names} == {
        (str(digit), str(index)) for digit in range(10) for index in range(50)
    }
    assert len({speaker for _, speaker, _ in names}) == 6


def test_the_variable_of_every_data_set_is_known_as_a_path() -> None:
    manifests = [datasets.load(path.stem) for path in params.MANIFESTS.glob("*.json")]
    assert {one.variable for one in manifests} - {None} <= set(project.LOCATIONS)


@pytest.mark.skipif(not ARCHIVE, reason="SPOKEN_DIGITS_ARCHIVE names no archive of the data set")
def test_the_real_recordings_are_fetched_verified_and_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = params.merge(params.read(REPOSITORY), REPOSITORY, "speech", [])
    parameters = params.check(values)
    parameters.paths.extra.mkdir(parents=True)
    fetch.fetch(DIGITS, parameters.paths, parameters.runtime, tmp_path / "downloads")
    ingest.ingest(DIGITS, parameters.data, parameters.paths)
    profile = files.read_json(parameters.paths.profile)
    assert Profile.of(profile).shape == (8000, 2)
    counts = {name: sum(of.values()) for name, of in profile["counts"].items()}
    assert counts == {"train": 2400, "validation": 300, "test": 300}
    assert set(profile["duplicates"].values()) == {0}
    test = readers.read(DIGITS, parameters.paths.raw)[1]
    assert np.bincount(test.labels_n).tolist() == [30] * 10
    assert 0.3 < profile["length"]["mean"] < 0.6
