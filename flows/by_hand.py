"""Start a run of a deployment from a shell."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from flows import deployed, server
from resnet.errors import PipelineError
from resnet.messages.spelling import suggestion
from resnet.system import files


def start(root: Path, deployment: str, options: Sequence[str]) -> int:
    """`prefect deployment run` on the running server, with its options; its exit code.

    Raises PipelineError if no server is running, which Prefect's own command tells by a traceback,
    or it has no such deployment.
    """
    api = server.require_running()
    with server.connect(api) as client:
        if "/" not in deployment or not deployed.read(client, [deployment]):
            specs = files.read_yaml(root / "prefect.yaml")["deployments"]
            names = [deployed.full_name(spec) for spec in specs]
            raise PipelineError(
                f"the server at {api} has no deployment '{deployment}'"
                f"{suggestion(deployment, [name for name in names if name != deployment])}; "
                f"'make deploy' puts there {', '.join(names)}"
            )
    words = [sys.executable, "-m", "prefect", "deployment", "run", deployment, *options]
    return subprocess.run(words, env={**os.environ, "PREFECT_API_URL": api}, check=False).returncode
