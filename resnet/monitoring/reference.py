"""What scored images are compared with: a version's test predictions and training images."""

from pathlib import Path

from resnet.errors import PipelineError
from resnet.forms.histogram import Histogram
from resnet.monitoring.features import Features, predicted_counts
from resnet.registry import versions
from resnet.registry.store import Client
from resnet.registry.versions import Version

IN_PROFILE = ("brightness", "contrast")  # features of the training images


def features(client: Client, version: Version, into: Path) -> Features:
    """The reference data of `version`. `into` is a folder for downloads.

    Raises PipelineError if its predictions or its profile are not available, or the profile is of
    an earlier release, without brightness and contrast.
    """
    classes = versions.classes(client, version, into)
    counted = brightness_and_contrast(client, version, into)
    missing = [name for name in IN_PROFILE if name not in counted]
    if missing:
        raise PipelineError(
            f"{version}: its {versions.PROFILE_FILE} has no {' and no '.join(missing)} of the "
            "training images, so there is no reference to compare with: it is from an earlier "
            "release. Train a version with this one ('resnet run'), or name another with --version"
        )
    predictions = versions.predictions(client, version, into)
    predicted = predicted_counts(predictions.probabilities_nk, classes)
    return Features(*predicted, counted["brightness"], counted["contrast"])


def brightness_and_contrast(client: Client, version: Version, into: Path) -> dict[str, Histogram]:
    """Those of the images that `version` was trained on.

    Empty if its profile is of an earlier release, without them. Raises PipelineError.
    """
    profile = versions.profile(client, version, into)
    try:
        return {name: Histogram.from_dict(profile[name]) for name in IN_PROFILE if name in profile}
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{version}: its {versions.PROFILE_FILE} holds no readable {' and '.join(IN_PROFILE)} "
            f"({error!r}): publish the model again"
        ) from None
