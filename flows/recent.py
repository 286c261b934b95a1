"""Prefect's recent flow runs for a reader: their states, why, and how to look further."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows import server
from resnet.registry.ledger.event import utc_iso
from resnet.registry.overview.runs import RecentRun, as_table

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

FAILED = ("FAILED", "CRASHED", "CANCELLED")  # types of states


def report(api: str, failed: bool, number: int) -> str:
    """The last `number` flow runs of the server at `api`, newest first; with `failed` those alone.

    Those that are scheduled for later are left out; late ones are not.
    """
    recent = read(api, failed, number)
    pages = api.removesuffix("/api")
    if not recent:
        return f"no flow run has {'failed' if failed else 'begun'} on {pages}"
    shown = recent[0].id if failed else "ID"
    return "\n".join(
        [
            *as_table(recent),
            f"The log of a run: PREFECT_API_URL={api} prefect flow-run logs {shown}",
            f"In the browser:   {pages}/runs/flow-run/{shown}",
        ]
    )


def read(api: str, failed: bool, number: int) -> list[RecentRun]:
    """The flow runs of `report`."""
    conditions: dict[str, object] = {"expected_start_time": {"before_": datetime.now(UTC)}}
    if failed:
        conditions |= {"state": {"type": {"any_": FAILED}}}
    with server.connect(api) as client:
        from prefect.client.schemas.filters import FlowFilter
        from prefect.client.schemas.sorting import FlowRunSort

        found = client.read_flow_runs(
            flow_run_filter=server.where(**conditions),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=number,
        )
        of_these = FlowFilter.model_validate({"id": {"any_": [run.flow_id for run in found]}})
        flows = {flow.id: flow.name for flow in client.read_flows(flow_filter=of_these)}
    recent = [_recent(run, flows[run.flow_id]) for run in found]
    return sorted(recent, key=lambda run: run.begun, reverse=True)


def _recent(run: "FlowRun", flow: str) -> RecentRun:
    begun = run.start_time or run.expected_start_time
    why = (run.state.message if run.state else None) or ""
    return RecentRun(
        id=str(run.id),
        begun=utc_iso(begun) if begun else "",
        name=run.name if run.name.startswith(flow) else f"{flow}: {run.name}",
        state=run.state_name or "unknown",
        why=why,
    )
