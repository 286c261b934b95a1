"""What a run would do is said beforehand, and it does that. A real DVC repository, tiny stages."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from resnet.checkout import dvc, dvc_lock, plan, stages
from resnet.checkout.worktree import worktree
from tests.support import git

STAGE = """
import pathlib, sys
out, *inputs = map(pathlib.Path, sys.argv[1:])
out.parent.mkdir(exist_ok=True)
out.write_text("".join(one.read_text() for one in inputs if one.is_file()))
"""
STAGES: dict[str, dict[str, list[str]]] = {
    "fetch": {"deps": ["source"]},
    "train": {"deps": ["raw", "code.py"], "params": ["train"]},  # the folder of fetch's output
    "evaluate": {"deps": ["train.out"], "params": ["score.bins"]},
}
OUTS = {"fetch": "raw/fetch.out", "train": "train.out", "evaluate": "evaluate.out"}
VALUES = {"train": {"epochs": 1, "seed": 0}, "score": {"bins": 15}}
Plans = dict[str, tuple[str, str]]


def plans(root: Path) -> Plans:
    found = plan.plan(root, 30, lambda line: None)
    return {one.stage: (one.action, one.why) for one in found}


def actions(root: Path) -> dict[str, str]:
    return {stage: action for stage, (action, _) in plans(root).items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fetch → train → evaluate, each a copy of the file before; all have run and are committed."""
    root = tmp_path_factory.mktemp("made")
    for name, text in {"stage.py": STAGE, "code.py": "1", "source": "1"}.items():
        (root / name).write_text(text)
    (root / "params.yaml").write_text(yaml.safe_dump(VALUES))
    entries = {
        name: {
            **entry,
            "cmd": f"python stage.py {OUTS[name]} {' '.join(entry['deps'])}",
            "outs": [OUTS[name]],
        }
        for name, entry in STAGES.items()
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": entries}, sort_keys=False))
    git(root, "init", "--quiet")
    (root / ".gitignore").write_text("/.state/\n")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    assert plans(root) == dict.fromkeys(STAGES, ("run", "it has not run here before"))
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=root, check=True)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "all have run")
    return root


@pytest.fixture
def checkout(made: Path, tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    shutil.copytree(made, root, symlinks=True)
    return root


def change_parameters(root: Path) -> None:
    values = {**VALUES, "train": {"epochs": 3, "seed": 0}}
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    (root / "code.py").write_text("2")


def remove_outputs(root: Path) -> None:
    for path in root.rglob("*.out"):
        path.unlink()


def remove_all(root: Path) -> None:
    remove_outputs(root)
    shutil.rmtree(root / ".dvc" / "cache")


UNCHANGED = "its 1 dependencies and 0 parameters are those of dvc.lock, and so are its outputs"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            change_parameters,
            {
                "fetch": ("skip", UNCHANGED),
                "train": ("run", "code.py modified; train.epochs 1 → 3"),
                "evaluate": ("depends", "on what train will give"),
            },
        ),
        (
            remove_outputs,
            {
                name: (
                    "restore",
                    f"changed outs: {OUTS[name]} deleted; DVC's cache has them as dvc.lock names "
                    "them",
                )
                for name in STAGES
            },
        ),
        (
            remove_all,
            {
                "fetch": ("run", "changed outs: raw/fetch.out not in cache"),
                "train": ("depends", "on what fetch will give"),
                "evaluate": ("depends", "on what fetch and train will give"),
            },
        ),
    ],
)
def test_the_plan_says_what_becomes_of_each_stage_and_why_and_changes_nothing(
    checkout: Path, change: Callable[[Path], None], expected: Plans
) -> None:
    change(checkout)
    before = git(checkout, "status", "--porcelain"), sorted(checkout.rglob("*.out"))
    found = plans(checkout)
    assert found | expected == found
    assert (git(checkout, "status", "--porcelain"), sorted(checkout.rglob("*.out"))) == before


def test_a_run_does_what_the_plan_said(checkout: Path) -> None:
    remove_outputs(checkout)
    (checkout / "params.yaml").write_text(yaml.safe_dump({**VALUES, "score": {"bins": 5}}))
    assert actions(checkout) == {"fetch": "restore", "train": "restore", "evaluate": "run"}
    became = {name: stages.run(name, checkout, 30, lambda line: None).action for name in STAGES}
    assert became == {"fetch": "restored", "train": "restored", "evaluate": "ran"}


def test_a_tree_of_its_own_has_the_outputs_and_leaves_nothing_behind(checkout: Path) -> None:
    values = {**VALUES, "score": {"bins": 5}}
    before = sorted(checkout.rglob("*"))
    with worktree(checkout, "dry", values, keep_failed=False) as tree:
        dvc.checkout(tree, 30, lambda line: None)
        assert plans(tree)["evaluate"] == ("run", "score.bins 15 → 5")
        assert actions(tree) == {"fetch": "skip", "train": "skip", "evaluate": "run"}
    with (
        pytest.raises(RuntimeError),
        worktree(checkout, "dry", values, keep_failed=False),
    ):
        raise RuntimeError
    after = [path for path in sorted(checkout.rglob("*")) if path.name not in (".state", "runs")]
    assert [path for path in after if path not in before and ".git" not in path.parts] == []
    assert git(checkout, "worktree", "list").count("\n") == 1
    assert dvc_lock.stages(checkout)["evaluate"]["params"]["params.yaml"] == {"score.bins": 15}
