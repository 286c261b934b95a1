"""A form in words: the door to the module `description` of each form."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from resnet.forms.names import FormName


class Description(Protocol):
    """What a form's module has."""

    VIEWS: Mapping[int, str]
    """What the published model averages, by `net.views`."""

    def model_input(self, shape: Sequence[int], /) -> str:
        """What a model takes: samples of `shape`."""

    def purpose(self, classes: int, /) -> str:
        """What a model is for, and what its answers do not mean; 0 `classes` where unknown."""


def of(form: FormName) -> Description:
    """The module of `form`."""
    match form:
        case "image":
            from resnet.forms.image import description

            return description
        case "wave":
            from resnet.forms.wave import description as of_waves

            return of_waves
