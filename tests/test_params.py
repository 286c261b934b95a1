"""params.yaml, presets and overrides become one strict value, or one clear error."""

from pathlib import Path

import pytest

from resnet import params
from resnet.errors import PipelineError
from tests.support import REPOSITORY


def parameters(*overrides: str, preset: str | None = None) -> params.Params:
    return params.check(params.merge(params.read(REPOSITORY), REPOSITORY, preset, overrides))


def test_the_file_itself_is_the_preset_quick():
    assert parameters(preset="quick") == params.load(REPOSITORY)


@pytest.mark.parametrize("preset", params.presets(REPOSITORY))
def test_every_preset_is_valid(preset):
    assert parameters(preset=preset) != params.load(REPOSITORY)


def test_an_override_changes_its_key_and_no_other():
    before, after = params.load(REPOSITORY), parameters("train.optimizer.momentum=0.5")
    assert after.train.optimizer.momentum == 0.5
    optimizer = after.train.optimizer.model_copy(
        update={"momentum": before.train.optimizer.momentum}
    )
    restored = after.train.model_copy(update={"optimizer": optimizer})
    assert after.model_copy(update={"train": restored}) == before


def test_an_override_takes_precedence_over_the_preset():
    assert parameters("train.batch=7", preset="paper").train.batch == 7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "there is no 'epoch' here, only device, backend"),
        ("epochs", "want section.key=value"),
        ("train=3", "'train' is a section"),
        ("train.epochs=[", "is not YAML"),
        ("train.epochs=-1", "train.epochs: Input should be greater than 0 .found -1"),
        ("train.epochs=null", "give one, set the other to null"),
        ("net.depth=9", "take 8 or 14"),
        ("net.depth=2", "take 8 or 14"),
        ("gate.confidence=1", "gate.confidence: Input should be less than 1"),
        (
            "data.dataset=mnist",
            r"data.dataset: there is no data set .mnist.: take one of cifar10, generated, spoken-d",
        ),
        ("data.dataset=[cifar10]", "data.dataset: Input should be a valid string"),
        (
            "evaluate.annotations=[labels, human-labels, faces]",
            "\n  evaluate.annotations lists labels, faces, but those of cifar10 are "
            "near-duplicates, label-errors, human-labels: remove labels, faces$",
        ),
        ("train.epochs=.inf", "train.epochs: Input should be a finite number"),
    ],
)
def test_an_invalid_override_is_named(override, message):
    with pytest.raises(PipelineError, match=message):
        parameters(override)


def test_a_data_set_without_annotations_takes_none():
    generated = parameters("data.dataset=generated")
    assert generated.evaluate.annotations == ()
    with pytest.raises(PipelineError, match="human-labels, but those of generated are none"):
        parameters("data.dataset=generated", "evaluate.annotations=[human-labels]")


def test_a_data_set_is_known_by_its_manifest_alone(monkeypatch, tmp_path):
    (tmp_path / "ours.json").write_text('{"form": "image", "annotations": {"faces": {}}}')
    monkeypatch.setattr(params, "MANIFESTS", tmp_path)
    ours = parameters("data.dataset=ours", "evaluate.annotations=[faces]")
    assert ours.model_name == "ours-resnet"
    with pytest.raises(PipelineError, match="no data set 'cifar10': take one of ours"):
        parameters()


@pytest.mark.parametrize("preset", ["slow", "../params", ""])
def test_the_error_about_an_unknown_preset_names_the_known_ones(preset):
    with pytest.raises(PipelineError, match=f"no preset '{preset}': the presets are quick, articl"):
        parameters(preset=preset)


def test_a_missing_key_is_named():
    values = params.read(REPOSITORY)
    del values["gate"]["floor"]
    with pytest.raises(PipelineError, match="gate.floor: Field required"):
        params.check(values)


def test_a_folder_without_params_is_an_error(tmp_path):
    with pytest.raises(PipelineError, match="is not there: run this in a checkout"):
        params.load(tmp_path)


def test_what_is_written_is_read_back(tmp_path):
    (tmp_path / "params.yaml").write_text(params.dump(params.read(REPOSITORY)))
    assert params.load(tmp_path) == params.load(REPOSITORY)


def test_parameters_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        params.load(REPOSITORY).train.batch = 1


def test_each_data_set_has_a_model_name_of_its_own():
    assert parameters("data.dataset=cifar10").model_name == "cifar10-resnet"
    assert parameters("data.dataset=generated").model_name == "generated-resnet"


def test_paths_lead_into_the_folder_that_they_are_put_under():
    paths = parameters("paths.model=/elsewhere/model.keras").paths.under(Path("/checkout"))
    assert paths.metrics == Path("/checkout") / params.load(REPOSITORY).paths.metrics
    assert paths.model == Path("/elsewhere/model.keras")
    assert paths.archive is None
