"""Without CIFAR-10 and without a network: the stand-in where it was asked for, else an error."""

import shutil

import pytest
from conftest import REPOSITORY, clone


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A checkout with the project's own params.yaml, so one that wants CIFAR-10."""
    checkout = clone(tmp_path_factory.mktemp("bare"))
    shutil.copy(REPOSITORY / "params.yaml", checkout.root)
    checkout.git("commit", "--quiet", "--all", "--message", "The project's own parameters")
    return checkout


def test_the_stand_in_is_named_first_and_last(bare):
    done = bare.run("resnet", "run", "--preset", "smoke", "--or-stand-in")
    lines = done.stdout.splitlines()
    for line in (lines[0], lines[-1]):
        assert line.startswith("CIFAR-10 cannot be had")
        assert "uses the generated stand-in, and registers generated-resnet" in line
    assert any(line.startswith("generated-resnet version 1") for line in lines)


@pytest.mark.parametrize("words", [["resnet", "run"], ["dvc", "repro"]])
def test_nobody_else_falls_back(bare, words):
    done = bare.run(*words, check=False)
    assert done.returncode != 0
    assert "set CIFAR10_ARCHIVE" in done.stdout + done.stderr
    assert not (bare.root / "data" / "raw").exists()
