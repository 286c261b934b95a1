"""Run a command, pass on its output line by line, and leave no process of it behind."""

import select
import socket
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from resnet.messages.redaction import redact
from resnet.system import account

Say = Callable[[str], None]
"""It is given the lines of a command, or of another job, one by one as they come."""

ERROR = "error: "
MAX_ERROR_LINES = 50
GRACE_SECONDS = 20.0
CLOCK_SECONDS = 10.0  # a process's start time shifts when the machine's clock is corrected


def actor() -> str:
    """The user@host of this process."""
    return f"{account.user()}@{socket.gethostname()}"


def stream(
    command: Sequence[str], root: Path, env: Mapping[str, str], say: Say
) -> tuple[int, list[str]]:
    """Run `command` in `root`. Its exit code and its lines, each given to `say` as it comes.

    What `say` is given has no login in its addresses; the lines returned are as they were. The
    command stays in the caller's process group, so that it ends with that group. If an exception
    leaves this function, the command and all its children are ended first: a GPU is free when its
    run is over.
    """
    return follow(start(command, root, env, subprocess.DEVNULL), say)


def start(
    command: Sequence[str], root: Path, env: Mapping[str, str], stdin: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """`command`, started in `root` for `follow`."""
    return subprocess.Popen(
        command,
        cwd=root,
        env=env,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def follow(process: subprocess.Popen[str], say: Say) -> tuple[int, list[str]]:
    """What `stream` gives and does, of a process that `start` has started."""
    lines: list[str] = []
    with process:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        try:
            for line in process.stdout:
                line = line.rstrip()
                if line:
                    lines.append(line)
                    say(redact(line))
            process.wait()
        except BaseException:
            end(process.pid)
            raise
    return process.returncode, lines


class BeforeError:
    """Gives `say` the lines of a command but for the error that it ends with, which is raised.

    An error begins with `ERROR`. What only looks like one is passed on late, not lost.
    """

    def __init__(self, say: Say) -> None:
        self._say, self._held = say, list[str]()

    def __call__(self, line: str) -> None:
        if self._held or line.startswith(ERROR):
            self._held.append(line)
            if len(self._held) > MAX_ERROR_LINES:
                self.release()
        else:
            self._say(line)

    def release(self) -> None:
        """Pass on what was held back: it was no error at the end."""
        while self._held:
            self._say(self._held.pop(0))


def error(lines: Sequence[str]) -> str | None:
    """The error that a `resnet` command printed last among `lines`, in full; None without one."""
    starts = [number for number, line in enumerate(lines) if line.startswith(ERROR)]
    return "\n".join(lines[starts[-1] :]).removeprefix(ERROR) if starts else None


def end(pid: int) -> None:
    """End a process and all its children: SIGTERM, and later SIGKILL for those that are left."""
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


def reader_gone(descriptor: int) -> bool:
    """Whether `descriptor` is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def identity() -> str:
    """This process, in words by which another process can tell whether it is still running."""
    process = psutil.Process()
    return f"{socket.gethostname()} {process.pid} {process.create_time()} {_system()}"


def has_ended(identity: str) -> bool:
    """Whether the process of that `identity` has ended; one that cannot be seen counts as running.

    Visible are the processes of this host since its last boot, and in a container only its own.
    """
    words = identity.split(" ")
    if len(words) != 4 or (words[0], words[3]) != (socket.gethostname(), _system()):
        return False
    _, pid, started, _ = words
    try:
        process = psutil.Process(int(pid))
        return (
            process.status() == psutil.STATUS_ZOMBIE
            or abs(process.create_time() - float(started)) > CLOCK_SECONDS
        )
    except psutil.NoSuchProcess:
        return True


def _system() -> str:
    """What distinguishes the visible processes from those of other hosts of the same name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux, so there are no containers: the network card identifies the host
        return f"{uuid.getnode():x}"
