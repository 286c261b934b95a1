"""Without CIFAR-10 and without a network: the synthetic data set if asked for, else an error."""

import pytest


@pytest.fixture(scope="module")
def bare(new_checkout):
    """A checkout with the project's own parameters, so one that wants CIFAR-10."""
    return new_checkout("quick", [])


@pytest.fixture(scope="module")
def repro(bare):
    """`dvc repro`, which asks for CIFAR-10 a quarter of a minute long, beside the other test."""
    with bare.start("dvc", "repro") as running:
        yield running


def test_the_synthetic_data_set_is_named_first_and_last(bare, repro):
    done = bare.run(
        "resnet", "run", "--preset", "smoke", "--set", "train.steps=2", "--or-synthetic"
    )
    lines = done.stdout.splitlines()
    for line in (lines[0], lines[-1]):
        assert line.startswith("CIFAR-10 is not available")
        assert "uses the synthetic data set and registers generated-resnet" in line
    assert any(line.startswith("generated-resnet version 1") for line in lines)


def test_dvc_repro_without_cifar10_is_an_error_and_leaves_no_file(bare, repro):
    assert repro.wait(timeout=120) == 255
    assert "set CIFAR10_ARCHIVE" in (bare.root / ".state" / "started.log").read_text()
    assert [path for path in (bare.root / "data" / "raw").rglob("*") if path.is_file()] == []
