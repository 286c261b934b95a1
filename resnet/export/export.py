"""Write the portable forms of the published model that agree with it: model.keras in, ONNX out."""

import importlib.metadata
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resnet import params
from resnet.data import arrays
from resnet.errors import PipelineError
from resnet.evaluation.records import Predictions
from resnet.export.comparison import compare, objection
from resnet.export.report import FILES, FormName, PortableForm, PortableReport
from resnet.model import backend
from resnet.system import disk_errors, files

PACKAGES = ("keras", "onnx", "onnxruntime", "tensorflow", "tf2onnx")


def export(settings: params.Export, paths: params.Paths) -> None:
    """Write `paths.portable`, a folder with the admitted forms, and `paths.portable_report`.

    A form that cannot be made, or whose outputs for the test samples are not the Keras model's, is
    left out, and the report says why. Needs TensorFlow's backend unless `settings.forms` is empty.
    Raises PipelineError where the model, the arrays or the predictions are missing or do not fit
    together, and where the files cannot be written.
    """
    if not paths.model.exists():
        raise PipelineError(f"{paths.model} is not there: run 'resnet train' first")
    with disk_errors.explain_write_errors(paths.portable), files.replacing(paths.portable) as out:
        out.mkdir()
        forms = _forms(settings, paths, out) if settings.forms else []
    report = PortableReport(
        model_sha256=files.digest(paths.model),
        cpu=backend.cpu_name(),
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        forms=tuple(forms),
    )
    with disk_errors.explain_write_errors(paths.portable_report):
        report.write(paths.portable_report)


@dataclass(frozen=True)
class _Subject:
    """The published model, and what its forms are made and compared with."""

    model: Any  # keras.Model
    validation_nhwc: NDArray[np.uint8]
    test_nhwc: NDArray[np.uint8]
    predictions: Predictions  # the Keras model's, for the test samples

    @classmethod
    def load(cls, paths: params.Paths) -> Self:
        from resnet.model import model_file

        test, predictions = arrays.load(paths, "test"), Predictions.read(paths.predictions)
        if not np.array_equal(predictions.labels_n, test.labels_n):
            raise PipelineError(
                f"{paths.predictions} is not about the test samples in {paths.arrays}: run "
                "'resnet evaluate' again"
            )
        validation = arrays.load(paths, "validation")
        model = model_file.load(paths.model)
        return cls(model, validation.images_nhwc, test.images_nhwc, predictions)


def _forms(settings: params.Export, paths: params.Paths, out: Path) -> list[PortableForm]:
    """Make each form that is asked for, and put those that agree into the folder `out`."""
    subject, made, forms = _Subject.load(paths), out.with_name("made"), []
    made.mkdir()
    for name in (name for name in FILES if name in settings.forms):
        form = _form(name, subject, settings, made)
        print(f"export: {form}", flush=True)
        if form.admitted:
            shutil.copyfile(made / form.file, out / form.file)
        forms.append(form)
    return forms


def _form(name: FormName, subject: _Subject, settings: params.Export, made: Path) -> PortableForm:
    """Make a form in the folder `made`, and compare it; an error of it is why it is left out.

    What is wrong with the machine is no property of the form: a full disk, too little memory, a
    library that is not installed. It is raised, or the next run would take the report for final.
    """
    try:
        floats = _write(name, subject, settings, made)
        return _compared(name, subject, settings, made / FILES[name], floats)
    except (OSError, MemoryError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001  (each library has its own)
        reason = " ".join(str(error).split()) or type(error).__name__
        return PortableForm(name=name, admitted=False, reason=reason)


def _write(name: FormName, subject: _Subject, settings: params.Export, made: Path) -> int | None:
    """Write the form's file; of int8, how many convolutions it leaves in float."""
    from resnet.export import onnx_model, quantization

    source = made / FILES["onnx"]
    if not source.exists():
        onnx_model.write(subject.model, source)
    if name == "onnx":
        return None
    images_nhwc = subject.validation_nhwc
    return quantization.write(source, images_nhwc, settings.agreement, made / FILES[name])


def _compared(
    name: FormName, subject: _Subject, settings: params.Export, path: Path, floats: int | None
) -> PortableForm:
    from resnet.evaluation import cost
    from resnet.export import onnx_forward

    probabilities_nk = np.concatenate(list(onnx_forward.batches(path, subject.test_nhwc)))
    compared = compare(probabilities_nk, subject.predictions)
    reason = objection(compared, settings)
    return PortableForm(
        name=name,
        admitted=reason is None,
        reason=reason,
        agreement=compared.agreement,
        accuracy=compared.accuracy,
        accuracy_points=100 * compared.accuracy_difference,
        probability_difference=compared.probability_difference,
        size_bytes=path.stat().st_size,
        latency_ms=cost.latency_ms(onnx_forward.load(path), subject.test_nhwc),
        float_convolutions=floats,
        sha256=files.digest(path),
    )
