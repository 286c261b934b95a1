"""The account that this process runs as; in a container it may have neither a name nor a home."""

import getpass
import os
import pwd
from pathlib import Path


def user() -> str:
    """The name of the current account; its number if it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the second from Python 3.13 on
        return str(os.getuid())


def environment(home: Path) -> dict[str, str]:
    """What programs read of an account before they ask the system, which may not know it.

    DVC, for one, ends with an error where the account has no name, Prefect where it has no home:
    it gets its number for a name, and the folder `home`.
    """
    try:
        return {"HOME": pwd.getpwuid(os.getuid()).pw_dir}
    except KeyError:
        name = str(os.getuid())
        return {"HOME": str(home), "LOGNAME": name, "USER": name}
