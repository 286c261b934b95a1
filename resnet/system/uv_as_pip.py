"""Run uv with pip's settings: `python -m resnet.system.uv_as_pip .venv/bin/uv pip install …`.

A company's package index is in pip.conf or PIP_INDEX_URL, which uv does not read. What the user has
told uv itself, in variables or in a uv.toml, takes precedence. It runs before anything is
installed, so it imports the standard library alone; addresses may hold passwords, so nothing is
printed.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SECTIONS = (":env:", "install", "global")  # the first that has a setting decides, as in pip
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}
FORMER = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
TRUE = {"1", "true", "yes", "on"}


def settings() -> dict[str, str]:
    """pip's settings, from its files and the environment, by their names without the section."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in found:
            found[section][name] = str(ast.literal_eval(value))
    return {**found["global"], **found["install"], **found[":env:"]}


def environment(pip: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The variables that give uv the settings `pip`, where the environment `own` has none."""
    values = {
        variable: " ".join(pip[name].split())
        for name, variable in VARIABLES.items()
        if pip.get(name, "").strip()
    }
    if "UV_INDEX" in values:  # pip takes the best of all indexes, uv that of the first
        values["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {
        variable: value
        for variable, value in values.items()
        if variable not in own and FORMER.get(variable, variable) not in own
    }


def options(pip: Mapping[str, str]) -> list[str]:
    """The options for a machine without an index, which has packages in folders."""
    if pip.get("no-index", "").lower() not in TRUE:
        return []
    folders = pip.get("find-links", "").split()
    return ["--no-index", *(word for folder in folders for word in ("--find-links", folder))]


def has_own_file(own: Mapping[str, str]) -> bool:
    """Whether uv has a file of settings of this user's or this machine's."""
    home = Path(own.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    system = (Path("/etc/xdg/uv/uv.toml"), Path("/etc/uv/uv.toml"))
    return "UV_CONFIG_FILE" in own or any(
        path.is_file() for path in (home / "uv" / "uv.toml", *system)
    )


def main(command: Sequence[str]) -> None:
    """Become `command`, a call of uv."""
    if not has_own_file(os.environ):
        pip = settings()
        command = [*command, *options(pip)]
        os.environ.update(environment(pip, os.environ))
    os.execvp(command[0], [*command])  # noqa: S606  (a list of words)


if __name__ == "__main__":
    main(sys.argv[1:])
