"""The portable forms among a run's artifacts, on a real server that holds these itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet import params
from resnet.export.report import FILES, FormName, PortableForm, PortableReport
from resnet.registry import portable_forms, store
from resnet.registry.store import Client
from tests.support.login_proxy import login_proxy


@pytest.fixture
def editor(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A user who may log artifacts and not delete them, as one with EDIT by MLflow's basic auth."""
    artifacts = "DELETE /api/2.0/mlflow-artifacts/"
    with login_proxy(server, "editor:secret", forbidden=artifacts) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("://", "://editor:secret@"))
        yield store.client(tmp_path)


def export(paths: params.Paths, admitted: FormName) -> PortableReport:
    """What the stage leaves that admits one of the forms."""
    forms = tuple(
        PortableForm(name=name, admitted=name == admitted, reason=None if name == admitted else "")
        for name in FILES
    )
    report = PortableReport(model_sha256="", cpu="", versions={}, forms=forms)
    report.write(paths.portable_report)
    paths.portable.mkdir(exist_ok=True)
    (paths.portable / FILES[admitted]).write_text(f"a form: {admitted}")
    return report


def test_a_form_that_may_not_be_deleted_stays_with_a_warning_and_the_new_ones_are_attached(
    editor: Client, parameters: params.Params, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = parameters.paths.model_copy(
        update={"portable": tmp_path / "forms", "portable_report": tmp_path / "report.json"}
    )
    experiment = editor.create_experiment("held by the server", "mlflow-artifacts:/held")
    run_id = editor.create_run(experiment).info.run_id
    portable_forms.attach(editor, run_id, export(paths, "onnx"), paths)
    assert caplog.messages == []

    portable_forms.attach(editor, run_id, export(paths, "int8"), paths)
    names = {Path(file.path).name for file in editor.list_artifacts(run_id, "portable")}
    assert names == {"model.onnx", "model.int8.onnx", "portable.json"}
    report = editor.fetch_artifact(run_id, portable_forms.REPORT, tmp_path)
    assert report.read_bytes() == paths.portable_report.read_bytes()
    (warning,) = caplog.messages
    assert warning.startswith(f"portable/model.onnx of run {run_id} is of an earlier export")
    assert "403" in warning
