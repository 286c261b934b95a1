"""A study keeps finished runs, and empties a folder whose parameters, code or libraries changed."""

import shutil
from pathlib import Path

import pytest

from tests.support import REPOSITORY


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)


def test_a_folder_is_kept_until_its_parameters_change(tmp_path: Path) -> None:
    from benchmarks.study import Study

    folder = tmp_path / "run"
    study = Study(REPOSITORY, "smoke", tmp_path, ["data.dataset=generated"])
    values = study.values()
    images = study.images(values)
    images.mkdir(parents=True)
    (images / "profile.json").touch()  # so that nothing is fetched
    checkpoint = folder / ".state" / "checkpoints" / "a" / "000000001-b.npz"
    for overrides, is_kept in ([], True), (["train.seed=1"], False):
        study.prepare(folder, values)
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        (folder / "run.json").write_text("{}")
        study.prepare(folder, study.values(overrides))
        assert checkpoint.exists() == (folder / "run.json").exists() == is_kept
        assert (folder / "params.yaml").exists()
        assert (folder / "dvc.yaml").exists()
        shutil.rmtree(folder)


def test_the_user_s_own_python_path_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import study

    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert study.environment()["PYTHONPATH"] == f"{REPOSITORY}:/somewhere"
    monkeypatch.delenv("PYTHONPATH")
    assert study.environment()["PYTHONPATH"] == str(REPOSITORY)


def test_a_run_is_neither_kept_nor_recorded_where_the_user_s_other_runs_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks import study

    monkeypatch.setenv("RESNET_STATE", "/somewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
    assert not {"RESNET_STATE", "MLFLOW_TRACKING_URI"} & study.environment().keys()


def test_a_spread_leaves_out_missing_values_and_one_value_has_no_deviation() -> None:
    from benchmarks.study import spread

    assert spread([1.0, None, 2.0], 3) == {"mean": 1.5, "deviation": 0.707}
    assert spread([None, 2.0]) == {"mean": 2.0}
    assert spread([None], 1) == {"mean": None}
