"""What scored samples are compared with: a version's test predictions and training samples."""

from pathlib import Path

from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.forms import statistics
from resnet.forms.histogram import Histogram
from resnet.forms.names import NOUNS
from resnet.monitoring.features import Features, predicted_counts
from resnet.registry import versions
from resnet.registry.store import Client
from resnet.registry.versions import Version


def features(client: Client, version: Version, into: Path) -> Features:
    """The reference data of `version`. `into` is a folder for downloads.

    Raises PipelineError if its predictions or its profile are not available, or the profile is of
    an earlier release, without what its form monitors.
    """
    profile = versions.data_profile(client, version, into)
    counted = of_training(version, profile)
    missing = [name for name in statistics.of(profile.form).FEATURES if name not in counted]
    if missing:
        raise PipelineError(
            f"{version}: its {versions.PROFILE_FILE} has no {' and no '.join(missing)} of the "
            f"training {NOUNS[profile.form]}, so there is no reference to compare with: it is from "
            "an earlier release. Train a version with this one ('resnet run'), or name another "
            "with --version"
        )
    predictions = versions.predictions(client, version, into)
    predicted = predicted_counts(predictions.probabilities_nk, profile.classes)
    return Features(profile.form, *predicted, counted)


def of_training(version: Version, profile: Profile) -> dict[str, Histogram]:
    """What is monitored of the samples that `version` was trained on, by name.

    Empty if its `profile` is of an earlier release, without it. Raises PipelineError.
    """
    names, stored = statistics.of(profile.form).FEATURES, profile.values
    try:
        return {name: Histogram.from_dict(stored[name]) for name in names if name in stored}
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{version}: its {versions.PROFILE_FILE} holds no readable {' and '.join(names)} "
            f"({error!r}): publish the model again"
        ) from None
