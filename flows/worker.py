"""Execute the deployments' runs by Prefect's worker, so that none is left behind as Running."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from flows import deploy, runs, server
from resnet import params
from resnet.errors import PipelineError
from resnet.system import processes
from resnet.system.cores import available as available_cores

GIB = 2**30
# The processes of a run with `quick` take 1.7 GiB together (PSS) while it trains, and 1.2 while
# `export` works and `publish` waits.
RUN_BYTES = 2 * GIB
CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # of Linux
LEAST = 2  # runs at a time: a training must not keep the others waiting for hours


def work(root: Path) -> None:
    """Take and execute runs until this process is interrupted.

    Runs whose process is gone are ended first, and last those that ended with the worker: Prefect's
    own kills their processes, and leaves them Running in their place of the queue. Raises
    PipelineError if no server is running, or the worker ends by itself.
    """
    api = server.require_running()
    limit = runs_at_a_time(params.load(root).runtime.worker_runs)
    _print(runs.free(root))
    name = f"{socket.gethostname()}-{os.getpid()}"
    try:
        with runs.worker(root, name):
            code = _run([*command(root, limit), "--name", name], api)
    finally:  # not in the block: what it has only taken counts as alive until the lock is released
        _free_last(root)
    if code:
        raise PipelineError(f"Prefect's worker ended with {code}: see the lines above")


def command(root: Path, limit: int) -> list[str]:
    """Prefect's own worker for the pool of prefect.yaml. Raises PipelineError if it has several."""
    pools = deploy.pools(root)
    if len(pools) != 1:
        raise PipelineError(
            f"prefect.yaml names the work pools {', '.join(pools)}, and a worker serves one: start "
            "'prefect worker start --pool NAME' for each"
        )
    pool_type = os.environ.get(deploy.POOL_TYPE) or deploy.DEFAULT_POOL_TYPE
    words = ["worker", "start", "--pool", pools[0], "--type", pool_type, "--limit", str(limit)]
    return [sys.executable, "-m", "prefect", *words]


def runs_at_a_time(
    wanted: int | str, cores: int | None = None, memory_bytes: int | None = None
) -> int:
    """`wanted` itself, or for `auto` one run per core and per 2 GiB that this process may use."""
    if isinstance(wanted, int):
        return wanted
    cores = cores or available_cores()
    memory_bytes = memory_bytes or min(psutil.virtual_memory().total, memory_limit())
    return max(LEAST, min(cores, memory_bytes // RUN_BYTES))


def memory_limit(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """The bytes to which a container or a service limits this process; huge without a limit.

    Each group of version 2 has a limit of its own, and is within those of the groups above it.
    """
    lines = own.read_text().splitlines() if own.exists() else []
    names = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    group = cgroups.joinpath(*names)
    above = [folder for folder in (group, *group.parents) if folder.is_relative_to(cgroups)]
    limits = [folder / "memory.max" for folder in above]
    limits.append(cgroups / "memory" / "memory.limit_in_bytes")  # version 1
    texts = [limit.read_text().strip() for limit in limits if limit.is_file()]
    return min((int(text) for text in texts if text != "max"), default=sys.maxsize)


def _run(words: list[str], api: str) -> int:
    """Run Prefect's worker; it and all that it has started end with the block that waits for it."""
    if threading.current_thread() is threading.main_thread():
        # A shell's background job ignores SIGINT, and Prefect's worker ends by nothing else.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(words, env={**os.environ, "PREFECT_API_URL": api}) as worker:
        try:
            return worker.wait()
        finally:
            processes.end(worker.pid)


def _free_last(root: Path) -> None:
    try:
        _print(runs.free(root))
    except PipelineError as error:  # a reboot ends the server as well
        print(f"{error}; the next worker ends the runs that this one leaves", file=sys.stderr)


def _print(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)
