"""What became of each portable form of a model, as `export` writes it and the registry reads it.

Loads neither TensorFlow nor ONNX.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ValidationError

from resnet.errors import PipelineError
from resnet.system import files

FormName = Literal["onnx", "int8"]
FILES: dict[FormName, str] = {"onnx": "model.onnx", "int8": "model.int8.onnx"}
"""The forms in the order in which they are made, and the file of each."""


class PortableForm(BaseModel, frozen=True):
    """A form and its comparison with the Keras model; None where it did not come to that."""

    name: FormName
    admitted: bool
    reason: str | None  # why it was left out
    agreement: float | None = None  # share of the test samples with the same prediction
    accuracy: float | None = None
    accuracy_points: float | None = None  # accuracy minus the Keras model's, in percentage points
    probability_difference: float | None = None  # the greatest
    size_bytes: int | None = None
    latency_ms: float | None = None  # of one sample
    float_convolutions: int | None = None  # of int8: how many it leaves in float
    sha256: str | None = None  # of the file

    @property
    def file(self) -> str:
        return FILES[self.name]

    def __str__(self) -> str:
        return f"{self.name}: {f'left out: {self.reason}' if self.reason else self._compared()}"

    def _compared(self) -> str:
        return (
            f"admitted: {self.agreement:.2%} of the predictions are the Keras model's, accuracy "
            f"{self.accuracy:.2%}, one sample {self.latency_ms:.2f} ms, {self.size_bytes:,} bytes"
        )


class PortableReport(BaseModel, frozen=True):
    """All forms of one model."""

    model_sha256: str  # of model.keras
    cpu: str  # that the forms ran on
    versions: dict[str, str]  # of the packages that made them
    forms: tuple[PortableForm, ...]

    @property
    def admitted(self) -> tuple[PortableForm, ...]:
        return tuple(form for form in self.forms if form.admitted)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The report in the file `path`. Raises PipelineError where there is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise PipelineError(f"{path} is not there: run 'resnet export' first") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            raise PipelineError(
                f"{path} is no report on portable forms ({place}: {first['msg']}): run "
                "'resnet export' again"
            ) from None

    def write(self, path: Path) -> None:
        files.write_json(path, self.model_dump(mode="json"))
