"""What scored images are compared with: a version's test predictions and its training images."""

from pathlib import Path

from resnet.errors import PipelineError
from resnet.forms.histogram import Histogram
from resnet.monitoring.features import Features, said
from resnet.registry import versions
from resnet.registry.store import Client
from resnet.registry.versions import Version

LIGHT = ("brightness", "contrast")  # what a profile counts of the training images


def reference(client: Client, version: Version, into: Path) -> Features:
    """What `version` knows. `into` is a folder for downloads.

    Raises PipelineError where its predictions or its profile cannot be had, or the profile is from
    before it told of brightness and contrast.
    """
    classes = versions.classes(client, version, into)
    counted = light(client, version, into)
    missing = [name for name in LIGHT if name not in counted]
    if missing:
        raise PipelineError(
            f"{version}: its {versions.PROFILE_FILE} tells no {' and no '.join(missing)} of the "
            "training images, so there is nothing to compare with: it is from an earlier release. "
            "Train a version with this one ('resnet run'), or name another with --version"
        )
    predictions = versions.predictions(client, version, into)
    return Features(
        *said(predictions.probabilities_nk, classes), counted["brightness"], counted["contrast"]
    )


def light(client: Client, version: Version, into: Path) -> dict[str, Histogram]:
    """The brightness and the contrast of the images that `version` was trained on.

    Empty where its profile is from before they were counted. Raises PipelineError.
    """
    found = versions.profile(client, version, into)
    try:
        return {name: Histogram.from_dict(found[name]) for name in LIGHT if name in found}
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{version}: its {versions.PROFILE_FILE} holds no {' and '.join(LIGHT)} that can be "
            f"read ({error!r}): publish the model again"
        ) from None
