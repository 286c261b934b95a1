"""A mapping laid over another changes its keys alone, and has no keys of its own."""

import pytest

from resnet.errors import PipelineError
from resnet.system import mappings

BASE = {"train": {"epochs": 5, "augment": {"pad": 2}}, "seed": 0}


def test_what_is_laid_over_goes_before_and_the_rest_stays() -> None:
    merged = mappings.overlay(BASE, {"train": {"augment": {"pad": 4}}}, "here")
    assert merged == {"train": {"epochs": 5, "augment": {"pad": 4}}, "seed": 0}
    assert BASE["train"] == {"epochs": 5, "augment": {"pad": 2}}


def test_a_key_that_the_base_lacks_is_an_error() -> None:
    with pytest.raises(PipelineError, match="^here: there is no 'xyz' here, only pad$"):
        mappings.overlay(BASE, {"train": {"augment": {"xyz": 4}}}, "here")


@pytest.mark.parametrize(
    ("override", "meant"),
    [("sed=1", "seed"), ("epochs=1", "train.epochs"), ("pad=1", "train.augment.pad")],
)
def test_a_mistyped_key_or_one_without_its_section_gets_a_suggestion(
    override: str, meant: str
) -> None:
    with pytest.raises(PipelineError, match=rf"; did you mean '{meant}'\?$"):
        mappings.overlay(BASE, mappings.from_override(override), "here")


def test_dotted_keys_lead_to_the_values() -> None:
    assert mappings.flatten(BASE) == {"train.epochs": 5, "train.augment.pad": 2, "seed": 0}
    assert mappings.from_override("train.augment.pad=[1, x]") == {
        "train": {"augment": {"pad": [1, "x"]}}
    }
