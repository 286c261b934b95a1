"""A training's MLflow run says by its name what differs from others. A real git repository."""

import shutil
from pathlib import Path

import pytest

from resnet import params
from resnet.registry.tracking.run_name import run_name
from tests.support import REPOSITORY, git


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    shutil.copy(REPOSITORY / "params.yaml", root)
    shutil.copytree(REPOSITORY / "presets", root / "presets")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root


@pytest.mark.parametrize(
    ("preset", "overrides", "name"),
    [
        ("quick", [], "quick"),
        ("quick", ["train.seed=2"], "quick train.seed=2"),
        ("quick", ["evaluate.bins=20", "gate.floor=0.1"], "quick"),
        ("quick", ["train.epochs=null", "train.steps=100"], "quick train.steps=100"),
        ("smoke", [], "smoke"),
        (
            "smoke",
            ["net.widths=[8, 16, 64]", "train.early_stop=3"],
            "smoke net.widths=[8, 16, 64] train.early_stop=3",
        ),
        ("paper", ["data.dataset=generated"], "paper data.dataset=generated"),
        (
            "quick",
            ["train.seed=1", "train.batch=9", "net.depth=14", "data.seed=2", "train.device=cpu"],
            "quick data.seed=2 net.depth=14 train.device=cpu train.seed=1 and 1 more",
        ),
    ],
)
def test_a_run_is_called_by_the_nearest_preset_and_what_differs_from_it(
    checkout: Path, preset: str, overrides: list[str], name: str
) -> None:
    committed = params.read(REPOSITORY)
    values = params.merge(committed, REPOSITORY, preset, overrides)
    assert run_name(params.check(values), checkout) == name


def test_without_a_commit_the_network_names_the_run(tmp_path: Path) -> None:
    assert run_name(params.load(REPOSITORY), tmp_path) == "resnet-8-pooled"
