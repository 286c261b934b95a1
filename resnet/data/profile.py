"""The profile of the data that ingest leaves: what every later step knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from resnet.errors import PipelineError
from resnet.forms import names
from resnet.system import files

# What profiles of earlier releases do not say.
DEFAULTS: Mapping[str, Any] = {"form": "image", "shape": (32, 32, 3)}


@dataclass(frozen=True)
class Profile:
    """What samples are, and the names of the classes."""

    form: names.FormName
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    values: Mapping[str, Any] = field(repr=False)  # all that the file holds

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises PipelineError where the file is missing, or holds something else."""
        try:
            return cls.of(files.read_json(path))
        except FileNotFoundError:
            raise PipelineError(
                f"{path} does not exist: run 'resnet ingest' or 'dvc repro'"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise PipelineError(
                f"{path} is not a profile of the data ({error!r}): run 'resnet ingest' again"
            ) from error

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From the content of the file. Raises ValueError, KeyError or TypeError."""
        values = {**DEFAULTS, **values}  # raises TypeError if it is no mapping
        return cls(
            form=names.check(values["form"]),
            shape=tuple(map(int, values["shape"])),
            classes=tuple(map(str, values["classes"])),
            values=values,
        )
