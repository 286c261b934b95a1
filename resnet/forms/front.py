"""From raw samples to the maps that a network begins with: the door to the module `front` of each
form.
"""

from typing import Any, Protocol

from resnet.forms.data_spec import DataSpec
from resnet.forms.names import FormName


class Front(Protocol):
    """What a form's module has."""

    def maps(self, samples: Any, data: DataSpec, /) -> Any:
        """The first layers: samples uint8 (N, …) → standardised maps, float32 (N, H, W, C).

        They are Keras's own, and compute in float32 whatever the policy: bfloat16 has no values
        between 121.5 and 122. What a sample gives does not depend on the others of its batch.
        """


def of(form: FormName) -> Front:
    """The module of `form`."""
    match form:
        case "image":
            from resnet.forms.image import front

            return front
        case "wave":
            from resnet.forms.wave import front as of_waves

            return of_waves
