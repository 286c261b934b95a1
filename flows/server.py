"""Which Prefect server a command talks to."""

import os

from resnet import servers
from resnet.errors import PipelineError

PROJECT_API = f"http://{servers.HOST}:{servers.PREFECT_PORT}/api"


def running() -> str | None:
    """The API's address of the user's server, else of the project's; None where neither is up.

    Raises PipelineError where the user has named a server that does not answer.
    """
    named = os.environ.get("PREFECT_API_URL")
    if named and not servers.answers(f"{named}/health"):
        raise PipelineError(
            f"the Prefect server {named} (PREFECT_API_URL) does not answer: start it, or unset the "
            "variable to use the project's own"
        )
    if named:
        return named
    return PROJECT_API if servers.is_prefect(PROJECT_API) else None
