"""The portable forms of a version: artifacts of its run, with the report of `resnet export`."""

import logging
from pathlib import Path

from resnet import params
from resnet.errors import PipelineError
from resnet.export.report import PortableReport
from resnet.registry import versions
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.system import files

from mlflow.exceptions import MlflowException

log = logging.getLogger(__name__)

FOLDER = "portable"  # of the run's artifacts: the admitted forms, and the report
REPORT = f"{FOLDER}/portable.json"


def attach(client: Client, run_id: str, report: PortableReport, paths: params.Paths) -> None:
    """Attach the admitted forms, and then the file of the `report`, byte for byte as they are.

    Forms of an earlier export that are not admitted any more are removed after that: until then,
    and where this user may not delete, the report leaves them out.
    """
    forms = {f"{FOLDER}/{form.file}": form for form in report.admitted}
    for form in forms.values():
        client.log_artifact(run_id, str(paths.portable / form.file), FOLDER)
    client.log_text(run_id, paths.portable_report.read_text(), REPORT)
    for artifact in client.list_artifacts(run_id, FOLDER):
        if artifact.path not in {*forms, REPORT}:
            _remove(client, run_id, artifact.path)


def _remove(client: Client, run_id: str, artifact: str) -> None:
    try:
        client.delete_artifact(run_id, artifact)
    except MlflowException as error:
        log.warning(
            "%s of run %s is of an earlier export and could not be removed (%s): it is not among "
            "the version's forms any more; let somebody delete it who may",
            artifact,
            run_id,
            error.message,
        )


def read(client: Client, version: Version, into: Path) -> PortableReport | None:
    """The report on the forms of `version`; None if it was registered without one.

    `into` is a folder for the download. Raises PipelineError if the report is missing, or is not
    the one that the version's tag names.
    """
    if not version.portable_hash:
        return None
    path = versions.fetch(client, version, REPORT, into)
    if files.digest(path) != version.portable_hash:
        raise PipelineError(
            f"{version}: its {REPORT} is not the report that its tags name: run 'resnet publish' "
            "again"
        )
    return PortableReport.read(path)


def download(client: Client, version: Version, into: Path) -> PortableReport | None:
    """The report as `read`, and the admitted forms, in the folder `portable` of `into`.

    Raises PipelineError if one is missing, or is not the file that was admitted.
    """
    report = read(client, version, into)
    for form in report.admitted if report else ():
        digest = files.digest(versions.fetch(client, version, f"{FOLDER}/{form.file}", into))
        if digest != form.sha256:
            raise PipelineError(
                f"{version}: its {FOLDER}/{form.file} has sha256 {digest[:12]}…, but "
                f"{str(form.sha256)[:12]}… was compared and admitted: the registry's artifact is "
                "damaged; restore the file, which may still be in DVC's cache"
            )
    return report
