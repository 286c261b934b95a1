"""Register the outputs of the stages: one run and one version per model, completed when repeated.

`publish` loads TensorFlow, so the flow calls it in a child process.
"""

import logging
from contextlib import suppress
from pathlib import Path

from resnet import params
from resnet.checkout import provenance
from resnet.errors import PipelineError, UnreachableError
from resnet.forms import description
from resnet.forms.names import NOUNS
from resnet.registry import store, unreferenced, versions
from resnet.registry.card import blocks, card
from resnet.registry.ledger import ledger
from resnet.registry.ledger.lock import holding
from resnet.registry.store import Client
from resnet.registry.tracking import live_run, run_artifacts
from resnet.registry.tracking.outputs import Outputs
from resnet.registry.versions import Version
from resnet.system import files, processes

from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException

log = logging.getLogger(__name__)


def publish(parameters: params.Params, root: Path, cause: str | None = None) -> Version:
    """Make or complete the run and the version of the model in the outputs of the stages.

    `cause`, why the model was trained, becomes a tag of a new version. Safe to repeat, and to kill
    at any point: the next call completes it. The same model hash never makes a second version;
    another evaluation or export of it replaces the first.
    Raises PipelineError where the outputs are missing, stale, or not those of dvc.lock, and where
    the registry is that of another checkout.
    """
    store.require_own_artifacts(root, parameters.model_name)
    outputs = Outputs.read(parameters, root)
    if outputs.code.commit is None:
        log.warning("%s: the version is registered without one", outputs.code)
    client = store.client(root)
    name, reports = parameters.model_name, outputs.reports
    version = versions.find(client, name, reports.model_hash)
    if version is None:
        version = _publish_new(client, outputs, cause)
    else:
        run_artifacts.complete(client, version.run_id, outputs)
    if not reports.recorded_in(version):
        version = _renew(client, version, outputs)
    _record_needed(client, version)
    history = ledger.events(client, name)
    if not card.is_current(client, version, history):
        card.renew(client, version, history)
    return version


def _record_needed(client: Client, version: Version) -> None:
    """Let the version say which data it needs. Where its files do not, `prune` will refuse."""
    try:
        unreferenced.record_needed(client, version)
    except UnreachableError:
        raise
    except PipelineError as error:
        log.warning("%s", error)


def _publish_new(client: Client, outputs: Outputs, cause: str | None) -> Version:
    """Complete the run and make the version; the run is under way no more, whatever happens.

    The parts are logged outside the lock: it takes long, and two processes may do it at once. A
    promotion right after this does not probe a new version again, so it is probed now, even if a
    killed publish did.
    """
    run_id = _run(client, outputs)
    try:
        run_artifacts.complete(client, run_id, outputs, anew=["probe"])
        return _register(client, run_id, outputs, cause)
    except BaseException:
        with suppress(PipelineError, *store.UNAVAILABLE):
            client.set_terminated(run_id)
        raise


def _run(client: Client, outputs: Outputs) -> str:
    """The run of this model: the one that training opened, or one made from its files.

    It is in progress again until the version exists, so that 'resnet prune' leaves it alone.
    """
    model_hash, name = outputs.reports.model_hash, outputs.parameters.model_name
    experiment = run_artifacts.experiment(client, name)
    tags = {"model_hash": model_hash, "trainer": processes.identity()}
    with holding(client, name, processes.actor()):
        runs = client.search_runs([experiment], f"tags.model_hash = '{model_hash}'", max_results=1)
        ids = [str(run.info.run_id) for run in runs]
        if not ids:  # a training whose server went away has left a run without the model's hash
            tags["training_key"] = provenance.training_key(outputs.parameters, outputs.root)
            ids = live_run.left_running(client, experiment, tags["training_key"])
        if not ids:
            return run_artifacts.open_run(
                client, experiment, outputs.parameters, outputs.root, tags
            )
        client.update_run(ids[0], "RUNNING")
        client.log_batch(ids[0], tags=[RunTag(name, value) for name, value in tags.items()])
        return ids[0]


def _register(client: Client, run_id: str, outputs: Outputs, cause: str | None) -> Version:
    """The version made from the run, or the one that another process has made in the meantime."""
    name = outputs.parameters.model_name
    model_id = _logged_model(client, run_id, outputs)
    with holding(client, name, processes.actor()) as held:
        client.set_terminated(run_id)
        version = versions.find(client, name, outputs.reports.model_hash)
        if version is None:
            held.confirm()
            version = _create_version(client, run_id, model_id, outputs, cause)
    return version


def _create_version(
    client: Client, run_id: str, model_id: str, outputs: Outputs, cause: str | None
) -> Version:
    name, reports = outputs.parameters.model_name, outputs.reports
    about = f"Residual networks: {_input(outputs)} → class probabilities"
    try:
        client.create_registered_model(name, description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with store.as_default(client):
        created = client.create_model_version(
            name,
            source=f"models:/{model_id}",
            run_id=run_id,
            model_id=model_id,
            description=_describe(outputs),
            tags={
                **outputs.origin,
                "model_hash": reports.model_hash,
                "file_hash": files.digest(reports.paths.model),
                "evaluation_hash": reports.evaluation.hash,
                "test_hash": reports.evaluation.test_hash,
                "portable_hash": reports.portable_hash,
                **({"cause": cause} if cause else {}),
            },
        )
    return Version.of(created)


def _logged_model(client: Client, run_id: str, outputs: Outputs) -> str:
    """The id of the model in MLflow's form, which is logged unless it is there."""
    from resnet.registry.tracking import mlflow_model

    model_id = mlflow_model.find(client, run_id)
    return model_id or mlflow_model.log(client, run_id, outputs.model, outputs.images_nhwc[:1])


def _renew(client: Client, version: Version, outputs: Outputs) -> Version:
    """The version with this evaluation and these portable forms instead of its former ones."""
    name, number = version.name, str(version.number)
    reports = outputs.reports
    with holding(client, name, processes.actor()) as held:
        # Another process may have logged another evaluation since.
        run_artifacts.complete(client, version.run_id, outputs)
        held.confirm()
        client.update_model_version(name, number, description=_describe(outputs))
        for key, value in {
            "test_hash": reports.evaluation.test_hash,
            "portable_hash": reports.portable_hash,
            "evaluation_hash": reports.evaluation.hash,  # the last: it says that all is there
        }.items():
            client.set_model_version_tag(name, number, key, value)
        return versions.resolve(client, name, version.number)


def _describe(outputs: Outputs) -> str:
    """The description of the version, in Markdown."""
    parameters, metrics = outputs.parameters, outputs.reports.evaluation.metrics
    net, train = parameters.net, parameters.train
    length = f"{train.epochs:g} epochs" if train.epochs else f"{train.steps} steps"
    validation, profile = sum(outputs.counts.get("validation", {}).values()), outputs.profile
    views = description.of(profile.form).VIEWS[net.views]
    return (
        f"ResNet-{net.depth} ({net.block} blocks, shortcut {net.shortcut}, widths "
        f"{', '.join(map(str, net.widths))}), {metrics.parameters:,} parameters. "
        f"Input: {_input(outputs)}. Output: class probabilities, float32 "
        f"(N, {len(profile.classes)}){views}.\n\n"
        f"Test accuracy {metrics.accuracy:.2%} (95 % interval {metrics.accuracy_low:.2%} to "
        f"{metrics.accuracy_high:.2%}) on {metrics.images:,} {NOUNS[profile.form]}. "
        f"{blocks.calibration(metrics.by_name(), validation)}\n\n"
        f"Data: {parameters.data.dataset}, {outputs.data_hash}. Recipe: {train.optimizer.name}, "
        f"{train.schedule.name} schedule with peak {train.schedule.peak:g}, {length} of batch "
        f"{train.batch}, seed {train.seed}; {outputs.code}.\n\n"
        f"The rest is on its model card, `{card.CARD_FILE}` in the artifacts of its run."
    )


def _input(outputs: Outputs) -> str:
    """What the model takes, in words."""
    return description.of(outputs.profile.form).model_input(outputs.profile.shape)
