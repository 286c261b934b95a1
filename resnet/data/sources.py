"""Where the raw files come from: the user's archive or folder, or the official address.

In this order: the environment variable of the data set, say CIFAR10_ARCHIVE, `paths.archive` of
params.yaml, the official address. The user's own source is never passed over: if it is wrong, that
is an error.
"""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from resnet import params
from resnet.data.datasets import Dataset
from resnet.errors import PipelineError

MANY = 7  # files: more are not named


@dataclass(frozen=True)
class UserSource:
    """An archive or a folder that the user has named, and where the user named it."""

    path: Path
    setting: str

    @property
    def origin(self) -> str:
        return f"{self.path} ({self.setting})"


def user_source(dataset: Dataset, paths: params.Paths) -> UserSource | None:
    """The user's archive or folder, if there is one. Raises PipelineError if it does not exist."""
    if dataset.variable and (value := os.environ.get(dataset.variable)):
        source = UserSource(Path(value).expanduser(), dataset.variable)
    elif paths.archive is not None:
        source = UserSource(paths.archive.expanduser(), "paths.archive in params.yaml")
    else:
        return None
    if not (source.path.is_file() or source.path.is_dir()):
        raise PipelineError(
            f"{source.origin} is not there: want a .tar.gz of {dataset.title} or a folder with its "
            "files; name another one, or none to download it"
        )
    return source


def batch_folder(source: UserSource, dataset: Dataset) -> Path:
    """The folder with the batches: the one that the user has named, or one inside it."""
    for folder in (source.path, *(source.path / name for name in dataset.folders)):
        if any((folder / name).exists() for name in dataset.files):
            return folder
    first = ", ".join(itertools.islice(dataset.files, MANY))
    more = f" and {len(dataset.files) - MANY:,} others" if len(dataset.files) > MANY else ""
    raise PipelineError(
        f"{source.origin} is a folder without {first}{more}: name the folder "
        f"{' or '.join(dataset.folders)} or the one that contains it"
    )


def why_unavailable(dataset: Dataset, paths: params.Paths) -> str | None:
    """Why the data set is not available here and now; None if it is, as far as can be seen.

    Takes a few seconds, or three quarters of a minute if the network does not answer. The user's
    own source counts as available, whatever it holds: fetch says what is wrong with it.
    """
    variable = dataset.variable
    if dataset.archive is None or (variable and os.environ.get(variable)) or paths.archive:
        return None
    if dataset.holds(paths.raw):
        return None
    from resnet.data import download  # it needs packages that nobody else does

    reason = download.why_unreachable(dataset.archive.url)
    return reason and f"{reason}, and {variable} is not set to an archive or a folder"
