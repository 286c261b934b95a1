"""Run a command, hand on its output line by line, and leave nothing of it behind."""

import getpass
import os
import socket
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

ERROR = "error: "
GRACE_SECONDS = 20.0
CLOCK_SECONDS = 10.0  # the time of a process's birth moves when the machine's clock is corrected


def user() -> str:
    """The name of the account at work; its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the second from Python 3.13 on
        return str(os.getuid())


def actor() -> str:
    """Who acts: user@host of this process."""
    return f"{user()}@{socket.gethostname()}"


def stream(
    command: Sequence[str], root: Path, env: Mapping[str, str], say: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Run `command` in `root`; its exit code and its lines, each given to `say` as it comes.

    The command stays in the caller's process group, so whoever ends that group ends it too. When
    this function is left by an exception, the command and all its children are ended first: a GPU
    is free when its run is over.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        try:
            for line in process.stdout:
                line = line.rstrip()
                if line:
                    lines.append(line)
                    say(line)
            process.wait()
        except BaseException:
            end(process.pid)
            raise
    return process.returncode, lines


def error(lines: Sequence[str]) -> str | None:
    """The message of the `resnet` command that printed `lines`, all its lines; None without one."""
    starts = [number for number, line in enumerate(lines) if line.startswith(ERROR)]
    return "\n".join(lines[starts[-1] :]).removeprefix(ERROR) if starts else None


def end(pid: int) -> None:
    """End a process and all its children: SIGTERM, and SIGKILL for what is left of them."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(family, timeout=GRACE_SECONDS)
    for member in alive:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=1)


def identity() -> str:
    """This process, in words by which another one can tell whether it still lives."""
    process = psutil.Process()
    return f"{socket.gethostname()} {process.pid} {process.create_time()} {_system()}"


def has_ended(identity: str) -> bool:
    """Whether the process of that `identity` has ended; one that cannot be seen is taken to live.

    Seen are those of this host since it was started, and of this container where this is one.
    """
    words = identity.split(" ")
    if len(words) != 4 or (words[0], words[3]) != (socket.gethostname(), _system()):
        return False
    _, pid, born, _ = words
    try:
        process = psutil.Process(int(pid))
        return (
            process.status() == psutil.STATUS_ZOMBIE
            or abs(process.create_time() - float(born)) > CLOCK_SECONDS
        )
    except psutil.NoSuchProcess:
        return True


def _system() -> str:
    """What sets the processes that this one can see apart from those of hosts of the same name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux, so there are no containers: the network card tells hosts apart
        return f"{uuid.getnode():x}"
