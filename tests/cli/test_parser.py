"""The command line answers at once, and suggests what a mistyped word was meant to be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnet import cli
from resnet.cli.command import LAST, last
from tests.support import REPOSITORY, loaded

HEAVY = {"prefect", "mlflow", "dvc", "pandas", "keras", "shtab", "difflib", "dotenv"}


def usage_error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit, match="^2$"):
        cli.main(words)
    return capsys.readouterr().err.splitlines()[-1]


def test_alone_it_prints_its_help_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: resnet ")
    assert "run the whole pipeline" in out


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="^0$"):
        cli.main(["--version"])
    version = capsys.readouterr().out
    assert (
        f'version = "{version.removeprefix("resnet ").strip()}"'
        in (REPOSITORY / "pyproject.toml").read_text()
    )


def test_its_help_loads_no_library() -> None:
    assert not loaded("from resnet import cli\ncli.main([])") & HEAVY


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["histroy"], "resnet: error: there is no command 'histroy'; did you mean 'history'?"),
        (["xyz"], "resnet: error: there is no command 'xyz': resnet --help lists them"),
        (
            ["run", "--pre-set=quick"],
            "resnet run: error: unrecognized arguments: --pre-set=quick; did you mean '--preset'?",
        ),
        (["doctor", "now"], "resnet doctor: error: unrecognized arguments: now"),
    ],
)
def test_a_mistyped_command_or_option_is_an_error_that_suggests_the_right_one(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert usage_error(capsys, *words) == message


COMPLETE = """
source {script}
COMP_WORDS=({words} "") COMP_CWORD={number} COMPREPLY=()
_shtab_resnet
echo "${{COMPREPLY[@]}}"
"""


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers after `resnet WORDS`."""
    shell = COMPLETE.format(script=script, words=" ".join(words), number=len(words))
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["history", "versions"])
def test_a_table_has_the_last_rows_and_json_all_unless_others_are_asked_for(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def number(*words: str) -> int | None:
        return last(cli._parser().parse_args([name, *words]))

    assert (number(), number("--last", "3"), number("--all")) == (LAST, 3, None)
    assert (number("--json"), number("--json", "--last", "3")) == (None, 3)
    assert "not allowed with argument" in usage_error(capsys, name, "--all", "--last", "3")
    assert "0 is not above zero" in usage_error(capsys, name, "--last", "0")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    """The script is printed outside of a checkout as well, as a shell does when it starts."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "resnet", "completion", "bash"]
    script = tmp_path / "resnet.bash"
    with script.open("w") as out:
        subprocess.run(command, cwd=tmp_path, env=env, stdout=out, check=True)
    commands = completed(script, "resnet")
    assert {"run", "versions", "history", "completion"} <= commands
    assert not {"rescore", "probe", "served"} & commands
    assert completed(script, "resnet", "run", "--promote") == {"if-better", "ask", "never"}
    assert "README.md" in completed(script, "resnet", "predict")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="^0$"):
        cli.main(["completion", shell])
    assert "versions" in capsys.readouterr().out
