"""What the documents tell a reader to type exists, and the messages that they explain are ours."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet import cli
from tests.support import REPOSITORY

TROUBLESHOOTING = REPOSITORY / "docs" / "how-to" / "troubleshooting.md"
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
OTHERS = {  # what git and dvc say
    *("M dvc.lock", "git status", "detected dubious ownership in repository"),
    *("getpwuid(): uid not found", "dvc"),
}
IN_THE_IMAGE = {"make", "resnet"}  # programs that `docker run … resnet` starts


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command of `resnet`."""
    (action,) = (one for one in cli._parser()._actions if one.dest == "==SUPPRESS==" or one.choices)
    return dict(action.choices)  # type: ignore[arg-type]


def messages() -> Iterator[str]:
    """Every text in the code and in the Makefile, with … for what differs."""
    yield " ".join(re.sub(r"%[ds](\.%d)*", "…", MAKEFILE).split())
    for path in [*(REPOSITORY / "resnet").rglob("*.py"), *(REPOSITORY / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
                yield re.sub("…+", "…", "".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def symptoms() -> list[str]:
    """The messages in the first column of the tables."""
    rows = [line for line in TROUBLESHOOTING.read_text().splitlines() if line.startswith("| `")]
    return [text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def test_each_message_that_is_explained_is_one_of_ours() -> None:
    texts = list(messages())
    unknown = [one for one in symptoms() if not any(one in text for text in texts)]
    assert set(unknown) <= OTHERS
    assert len(symptoms()) > 20


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_each_command_and_option_that_a_document_names_exists(path: Path) -> None:
    known, unknown = commands(), []
    code = "\n".join(re.findall(r"```.*?```|`[^`]+`", path.read_text(), re.DOTALL))
    for name, rest in re.findall(r"(?<![\w-])resnet ([a-z][\w-]*)([^`\n#;|']*)", code):
        if name in IN_THE_IMAGE:
            continue
        if name not in known:
            unknown.append(f"resnet {name}")
            continue
        options = {word for action in known[name]._actions for word in action.option_strings}
        unknown += [
            f"resnet {name} {option}"
            for option in re.findall(r"(?<!\S)--[a-z][\w-]*", rest.partition("&&")[0])
            if option not in options
        ]
    targets = re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)
    unknown += [
        f"make {name}" for name in re.findall(r"\bmake ([a-z]+)", code) if name not in targets
    ]
    assert unknown == []
