"""What is on the server already: whose a deployment is, and what a person has switched off."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flows import server
from resnet.errors import PipelineError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

TAG = "checkout:"  # of deployments and flow runs; the checkout's name follows
PULL_STEP = "prefect.deployments.steps.set_working_directory"
RENAMED = {f"{flow}/by-hand": f"{flow}/{flow}" for flow in ("promote", "rollback", "score")}


def full_name(spec: Mapping[str, Any]) -> str:
    """FLOW/NAME of a deployment in prefect.yaml: a flow is named as its function, with hyphens."""
    function = str(spec["entrypoint"]).rpartition(":")[2]
    return f"{function.replace('_', '-')}/{spec['name']}"


def read(client: "SyncPrefectClient", names: Iterable[str]) -> dict[str, "DeploymentResponse"]:
    """Those of the named deployments that are on the server."""
    from prefect.exceptions import ObjectNotFound

    found = {}
    for name in names:
        try:
            found[name] = client.read_deployment_by_name(name)
        except ObjectNotFound:
            continue
    return found


def is_own(deployment: "DeploymentResponse", checkout: str, folder: str) -> bool:
    """Whether this checkout has deployed it, whose runs enter `folder`."""
    if owner := _owner(deployment):
        return owner == checkout
    return _folder(deployment) == folder  # earlier releases gave it no tag


def require_own(found: Mapping[str, "DeploymentResponse"], checkout: str, folder: str) -> None:
    """Raises PipelineError if another checkout has deployed one of them."""
    others = {name: one for name, one in found.items() if not is_own(one, checkout, folder)}
    if others:
        first = next(iter(others.values()))
        raise PipelineError(
            f"{', '.join(others)} belong to another checkout "
            f"on this server ({_owner(first) or 'of an earlier release'}), and their runs enter "
            f"{_folder(first)}: "
            "deploy there, or make them this checkout's with 'resnet deploy --take-over'"
        )


def prepare(
    config: Mapping[str, Any],
    checkout: str,
    client: "SyncPrefectClient",
    found: Mapping[str, "DeploymentResponse"],
) -> dict[str, Any]:
    """prefect.yaml with the checkout's tag, and switched off what a person has switched off.

    Prefect itself resumes a paused deployment and its disabled triggers when it is deployed again.
    """
    specs = []
    for spec in config["deployments"]:
        prepared = {**spec, "tags": [*(spec.get("tags") or ()), TAG + checkout]}
        if deployment := found.get(full_name(spec)):
            resource = f"prefect.deployment.{deployment.id}"
            automations = client.read_resource_related_automations(resource)
            off = {one.name for one in automations if not one.enabled}
            prepared["paused"] = deployment.paused or spec.get("paused", False)
            prepared["triggers"] = [
                {**trigger, "enabled": trigger.get("enabled", True) and trigger["name"] not in off}
                for trigger in _named_triggers(spec)
            ]
        specs.append(prepared)
    return {**config, "deployments": specs}


def _named_triggers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The triggers of a deployment in prefect.yaml; one without a name gets Prefect's for it."""
    triggers = enumerate(spec.get("triggers") or (), start=1)
    return [{"name": f"{spec['name']}__automation_{i}", **trigger} for i, trigger in triggers]


def remove_renamed(client: "SyncPrefectClient", checkout: str, folder: str) -> list[str]:
    """Remove this checkout's deployments under their former names. A line about each."""
    lines = []
    for old, deployment in read(client, RENAMED).items():
        if not is_own(deployment, checkout, folder):
            continue
        if _has_open_runs(client, deployment):
            lines.append(f"{old} is now {RENAMED[old]}, and stays until its runs have ended")
        else:
            client.delete_deployment(deployment.id)
            lines.append(f"{old} is now {RENAMED[old]}")
    return lines


def _has_open_runs(client: "SyncPrefectClient", deployment: "DeploymentResponse") -> bool:
    from prefect.client.schemas.objects import TERMINAL_STATES

    wanted = server.where(
        deployment_id={"any_": [deployment.id]},
        state={"type": {"not_any_": list(TERMINAL_STATES)}},
    )
    return bool(client.read_flow_runs(flow_run_filter=wanted, limit=1))


def _owner(deployment: "DeploymentResponse") -> str:
    """The checkout that has deployed it; empty if an earlier release did."""
    tags = [tag.removeprefix(TAG) for tag in deployment.tags if tag.startswith(TAG)]
    return tags[0] if tags else ""


def _folder(deployment: "DeploymentResponse") -> str:
    steps = deployment.pull_steps or []
    folders = [str(step[PULL_STEP]["directory"]) for step in steps if PULL_STEP in step]
    return folders[0] if folders else "an unknown folder"
