"""The container, the editor's container and GitHub's workflow, as far as they are checked without
one: they are parsed, and what they name exists."""

import json
import re
import subprocess
import tomllib

import yaml
from packaging.specifiers import SpecifierSet

from resnet.system import network
from tests.support import REPOSITORY, git

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PYTHONS = SpecifierSet(PROJECT["requires-python"])


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, with what follows each."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word, rest) for word, _, rest in (one.partition(" ") for one in joined.split("\n") if one)
    ]


def targets(text: str) -> set[str]:
    """What `make` is called for in a text."""
    return set(re.findall(r'\bmake(?: |", ")([.\w/]+)', text))


def is_a_target(name: str) -> bool:
    """Whether the Makefile has the target; nothing is made."""
    command = ["make", "--dry-run", "--question", "PYTHON=true", name]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return "No rule" not in done.stderr


def test_the_image_has_a_supported_python_and_is_made_by_targets_of_the_makefile() -> None:
    assert {word for word, _ in instructions()} <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "CMD"}
    bases = [rest.split() for word, rest in instructions() if word == "FROM"]
    assert [(base[0], base[-1]) for base in bases] == [
        ("python:3.11-slim", "tools"),
        ("tools", "pipeline"),
    ]
    assert "3.11" in PYTHONS
    (command,) = [json.loads(rest) for word, rest in instructions() if word == "CMD"]
    assert command == ["make", "help"]
    assert targets(DOCKERFILE) == {"run", ".venv/installed", "help"}
    assert all(map(is_a_target, targets(DOCKERFILE)))
    assert not is_a_target("nothing")


def test_the_image_gets_all_that_git_knows_and_its_history() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    ignored = [f":(glob){pattern}{tail}" for pattern in patterns for tail in ("", "/**")]
    assert git(REPOSITORY, "ls-files", "--", *ignored) == ""
    assert ".env" in patterns
    assert not any(pattern.startswith(".git") for pattern in patterns)


def test_the_editors_container_is_a_stage_of_the_image_and_forwards_both_servers_ports() -> None:
    container = json.loads((REPOSITORY / ".devcontainer" / "devcontainer.json").read_text())
    build = container["build"]
    folder = REPOSITORY / ".devcontainer"
    assert (folder / build["dockerfile"]).resolve() == REPOSITORY / "Dockerfile"
    assert build["target"] in re.findall(r"^FROM .* AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert container["forwardPorts"] == list(network.PORTS.values())
    assert targets(container["postCreateCommand"]) == {".venv/installed"}


def test_the_workflow_runs_what_ci_runs_on_every_supported_python() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    supported = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in PYTHONS]
    assert job["strategy"]["matrix"]["python"] == supported
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == [".ci/run"]
    assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o111
    assert workflow["permissions"] == {"contents": "read"}
