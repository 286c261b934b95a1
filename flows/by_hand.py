"""Start a run of a deployment from a shell."""

import os
import subprocess
import sys
from collections.abc import Sequence

from flows import server


def start(deployment: str, options: Sequence[str]) -> int:
    """`prefect deployment run` on the running server, with its options; its exit code.

    Raises PipelineError if no server is running, which Prefect's own command tells by a traceback.
    """
    api = server.require_running()
    words = [sys.executable, "-m", "prefect", "deployment", "run", deployment, *options]
    return subprocess.run(words, env={**os.environ, "PREFECT_API_URL": api}, check=False).returncode
