"""Show a sample to a person: the door to the module `pictures` of each form."""

from typing import Any, Protocol

from matplotlib.axes import Axes

from resnet.forms.names import FormName


class Pictures(Protocol):
    """What a form's module has."""

    def show(self, ax: Axes, sample: Any, /) -> None:
        """Draw a sample into `ax`, which has no axes' lines."""


def of(form: FormName) -> Pictures:
    """The module of `form`."""
    match form:
        case "image":
            from resnet.forms.image import pictures

            return pictures
        case "wave":
            from resnet.forms.wave import pictures as of_waves

            return of_waves
