"""Where the checkout is, and the environment in which its tools run.

`environment` adds what the user has not set: state in `.state/` and not in the home folder, a name
and a home for an account without, telemetry off, this interpreter's commands first on the PATH.
"""

import json
import os
import sys
from pathlib import Path

from resnet.errors import PipelineError
from resnet.system import account, disk_errors, network

STATE = ".state"
ENV_FILE = ".env"
# Variables that name files or folders: each data set has one, which its manifest names.
LOCATIONS = ("CIFAR10_ARCHIVE", "CIFAR10_ANNOTATIONS", "SPOKEN_DIGITS_ARCHIVE")
PORTS = "ports.json"  # in the state folder: the variables with the ports that `resnet ui` was given


def find_root(start: Path | None = None) -> Path:
    """The nearest folder, from `start` upward, that contains params.yaml and dvc.yaml.

    Raises PipelineError if there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise PipelineError(
        f"{start} is not in a checkout of this project (no params.yaml and dvc.yaml there or above "
        "it): change into one"
    )


def state(root: Path) -> Path:
    """The folder for what outlives a command: RESNET_STATE, else .state/ in the checkout.

    A run in a working tree of its own gets the checkout's.
    """
    return Path(os.environ.get("RESNET_STATE") or root / STATE)


def downloads(root: Path) -> Path:
    """The folder for what is being downloaded; it need not be there yet."""
    return state(root) / "downloads"


def environment(root: Path) -> dict[str, str]:
    """All variables for a command in the checkout at `root`; the user's own take precedence.

    But a login leaves a server's address, and loopback is reached without a proxy.
    """
    commands = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    first = os.pathsep.join([commands, *(folder for folder in path if folder != commands)])
    return {
        **defaults(root),
        **ports(root),
        **os.environ,
        **network.environment(os.environ),
        "PATH": first,
    }


def ports(root: Path) -> dict[str, str]:
    """The variables with the ports of the checkout's own servers that `resnet ui` was given.

    Raises PipelineError if they cannot be read.
    """
    path = state(root) / PORTS
    try:
        return {str(name): str(port) for name, port in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise PipelineError(
            f"{path} does not hold the ports of 'resnet ui' ({error}): delete it, and name them "
            "again with --prefect-port and --mlflow-port"
        ) from None


def defaults(root: Path) -> dict[str, str]:
    """What `environment` sets unless the user has."""
    state = root / STATE
    return {
        **account.environment(state / "home"),
        "RESNET_STATE": str(state),  # a run in a tree of its own gets the checkout's
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The newer pages ask a statistics host all the same, and show less of runs.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        # In memory, where it is by default, a slot that is taken when the server ends stays taken.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # By default it retries for about four minutes while a server does not answer.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # Its server would start ten processes, 2 GiB, for jobs about language models.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "1",  # MLflow heeds "true" alone, and has a variable of its own above
        "MPLCONFIGDIR": str(state / "matplotlib"),
        "KERAS_HOME": str(state / "keras"),
        "PYTHONUNBUFFERED": "1",
    }


def enter(root: Path) -> None:
    """Make `environment` this process's own, and `root` its working directory.

    The variables in the file .env of the checkout are set first, but for those that the user has
    set. A relative path in LOCATIONS is from the user's working directory, in .env from `root`: it
    is made absolute. The folder for state is not made where this account may not: who reads needs
    none, and who writes into it says so. Raises PipelineError if .env cannot be read.
    """
    try:
        (root / STATE).mkdir(exist_ok=True)
    except OSError as error:
        if not disk_errors.denied(error):
            raise
    homes = {name: Path.cwd() if name in os.environ else root for name in LOCATIONS}
    _load_env_file(root / ENV_FILE)
    for name, home in homes.items():
        if location := os.environ.get(name):
            os.environ[name] = str(home / Path(location).expanduser())
    os.environ.update(environment(root))
    os.chdir(root)


def _load_env_file(path: Path) -> None:
    if not path.is_file():
        return
    from dotenv import load_dotenv

    try:
        load_dotenv(path, override=False)
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"{path} cannot be read ({error}): want lines of the form NAME=value, in UTF-8"
        ) from None
