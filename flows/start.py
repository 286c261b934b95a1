"""Start the `retrain` flow from a shell: on which server, and with which data."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import deployed
from resnet import params
from resnet.checkout import git, project
from resnet.checkout.identity import identity
from resnet.data import synthetic
from resnet.errors import PipelineError
from resnet.operations import servers, up_to_date
from resnet.system import addresses, mappings, processes

if TYPE_CHECKING:
    from resnet.registry.promotion.outcome import Promote


def run(
    root: Path, preset: str, overrides: list[str], promote: "Promote", or_synthetic: bool
) -> None:
    """Run the flow in this process and print its result. Raises what the flow raised.

    Where no server is running and there is nothing to do, it is said without a flow run.

    With `or_synthetic`, the synthetic data set is used if CIFAR-10 is not available, and the first
    line and the last say so. Raises PipelineError, before anything starts, for invalid parameters
    where git does not look at the checkout, and without the GPU that train.device asks for.
    """
    base = params.read(root)
    parameters = params.check(params.merge(base, root, preset, overrides))
    git.commit(root)
    _require_device(root, parameters.train)
    _tell_implied(params.merge(base, root, preset, ()), overrides)
    notice = synthetic.notice(root, parameters) if or_synthetic else None
    if notice:
        print(notice)
        overrides = [*overrides, *synthetic.OVERRIDES]
    receipt = _receipt(root)
    print(
        _answer(root, base, params.merge(base, root, preset, overrides), promote)
        or _run(root, preset, overrides, promote)
    )
    if _receipt(root) != receipt:
        print(
            "dvc.lock has changed: it records what this run has computed. Commit it, or put it "
            "back with 'git checkout dvc.lock': the next run takes the results from DVC's cache"
        )
    if notice:
        print(notice)


def _answer(
    root: Path, base: Mapping[str, Any], values: Mapping[str, Any], promote: "Promote"
) -> str | None:
    """The result of a run that has nothing to do; None if it has, or a server shall record it."""
    if values != base or addresses.running_prefect():
        return None
    answer = up_to_date.answer(root, values, params.check(values), promote)
    if answer is None:
        return None
    print(*answer.stages, sep="\n", file=sys.stderr)
    return answer.message


def _run(root: Path, preset: str, overrides: list[str], promote: "Promote") -> str | None:
    """The result of a flow run in this process. Raises what the flow raised."""
    with _server(root) as api:
        retrain = _flow(api)
        from prefect import tags

        with tags(deployed.TAG + identity(root)):
            state = retrain(preset=preset, overrides=overrides, promote=promote, return_state=True)
    if isinstance(failure := state.result(raise_on_failure=False), BaseException):
        raise failure
    return str(state.message)


def _tell_implied(before: Mapping[str, Any], overrides: list[str]) -> None:
    """Say which value of `before` becomes null because the overrides give the other one."""
    for implied in mappings.superseded(overrides, params.LENGTHS):
        if mappings.at(before, implied.partition("=")[0]) is not None:
            print(f"{implied}, for epochs and steps exclude each other")


def _receipt(root: Path) -> bytes | None:
    """dvc.lock as it is; None if there is none."""
    path = root / "dvc.lock"
    return path.read_bytes() if path.exists() else None


def _require_device(root: Path, train: params.Train) -> None:
    """Raise PipelineError if train.device is gpu and there is none.

    Asked in a process of its own: a library keeps the GPU that it has seen.
    """
    if train.device != "gpu":
        return
    words = [sys.executable, "-m", "resnet", "device", train.backend, train.device]
    code, lines = processes.stream(words, root, project.environment(root), lambda line: None)
    if code:
        raise PipelineError(
            processes.error(lines) or "the GPU cannot be used:\n" + "\n".join(lines[-20:])
        )


@contextmanager
def _server(root: Path) -> Iterator[str]:
    """The address of the user's server, else the project's, else of one that lives for the block.

    Raises PipelineError if the user has named a server that does not answer.
    """
    address = addresses.running_prefect()
    if address:
        yield address
        return
    print(
        "no Prefect server is running: starting one for this run, which 'make ui' shows later",
        flush=True,
    )
    with servers.prefect_server(root, addresses.free_port(), meanwhile=_flow) as api:
        try:
            yield api
        finally:
            _flush()


def _flow(api: str) -> Any:
    """The flow, for the server at `api`: Prefect reads the address when it is imported."""
    os.environ["PREFECT_API_URL"] = api
    from flows.retrain import retrain

    return retrain


def _flush() -> None:
    """Send what Prefect has not sent yet, while there is a server to receive it.

    Prefect would do so when the process ends, and wait a minute for a server that is gone.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=10)
    EventsWorker.drain_all(timeout=10)
