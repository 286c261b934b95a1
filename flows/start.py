"""Start the `retrain` flow from a shell: which server records it, and with which data."""

import os
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from resnet import params
from resnet.errors import PipelineError

LOCAL_API = "http://127.0.0.1:4200/api"


def run(root: Path, preset: str, overrides: list[str], promote: str, stand_in: bool) -> int:
    """Run the flow in this process and print its result. Returns the exit code.

    With `stand_in`, the generated data set takes the place of CIFAR-10 where that cannot be had,
    and the first line and the last say so.
    """
    notice = _missing_data(root, preset, overrides) if stand_in else None
    if notice:
        print(notice)
        overrides = [*overrides, "data.dataset=generated"]
    choose_server()
    from flows.retrain import retrain  # only now: Prefect reads the address when it is imported

    state = retrain(preset=preset, overrides=overrides, promote=promote, return_state=True)
    print(state.message if state.is_completed() else f"error: {state.message}")
    if notice:
        print(notice)
    return 0 if state.is_completed() else 1


def choose_server() -> None:
    """Point Prefect at the user's server, else at the project's, else at one of its own.

    Raises PipelineError where the user has named a server that does not answer.
    """
    named = os.environ.get("PREFECT_API_URL")
    if named and not _answers(named):
        raise PipelineError(
            f"the Prefect server {named} (PREFECT_API_URL) does not answer: start it, or unset the "
            "variable to run with a temporary one"
        )
    if not named:  # an empty address makes Prefect start a server for the time of the run
        os.environ["PREFECT_API_URL"] = LOCAL_API if _answers(LOCAL_API) else ""


def _answers(api: str) -> bool:
    try:
        with urlopen(f"{api}/health", timeout=3) as response:  # noqa: S310  (http, the user's own)
            return response.status == 200
    except (URLError, OSError, ValueError):
        return False


def _missing_data(root: Path, preset: str, overrides: list[str]) -> str | None:
    """Why CIFAR-10 cannot be had, as a line for the user; None where it can, or is not wanted."""
    from resnet.data import sources

    chosen = params.check(params.merge(params.read(root), root, preset, overrides))
    if chosen.data.dataset != "cifar10":
        return None
    why = sources.unavailable(chosen.data, chosen.paths)
    return why and (
        f"CIFAR-10 cannot be had ({why}): this run uses the generated stand-in, and registers "
        "generated-resnet. Set CIFAR10_ARCHIVE to an archive of CIFAR-10 to use the real one."
    )
