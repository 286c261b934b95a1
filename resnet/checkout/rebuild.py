"""Bring a recorded commit back in a folder of its own, and run its stages there with its own code.

Nothing outside that folder is written: not the checkout, not DVC's cache, no MLflow store.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from resnet.checkout import dvc, dvc_cache, dvc_lock, git, project, worktree
from resnet.errors import PipelineError
from resnet.system import processes

Say = Callable[[str], None]


class MissingError(PipelineError):
    """Data are nowhere to be had."""


def clone(root: Path, commit: str, patch: bytes, tree: Path) -> None:
    """A clone of the checkout's repository as `tree`: `commit`, and `patch` on top of it.

    Raises PipelineError where the repository has no such commit, or the patch does not apply.
    """
    # The commit need not be on a branch any more, so the clone shares all that the checkout has.
    # 'git clone --shared' does the same, but copies the branches alone of a shallow repository.
    git.run(
        root, "init", "--quiet", f"--object-format={_ask(root, '--show-object-format')}", str(tree)
    )
    (tree / ".git" / "objects" / "info" / "alternates").write_text(f"{_inside(root, 'objects')}\n")
    shallow = _inside(root, "shallow")
    if shallow.exists():
        shutil.copyfile(shallow, tree / ".git" / "shallow")
    if not git.run(tree, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", must=False):
        deepen = "; it is shallow: 'git fetch --unshallow'" if shallow.exists() else ""
        raise PipelineError(
            f"commit {commit[:12]} is not in this checkout's repository: fetch the branch that "
            f"has it{deepen}"
        )
    git.run(tree, "checkout", "--quiet", "--detach", commit)
    if patch:
        text = patch.decode(errors="surrogateescape")
        try:
            git.run(tree, "apply", "--whitespace=nowarn", "-", stdin=text)
        except PipelineError as error:
            reason = str(error).partition("error: ")[2]
            raise PipelineError(f"the recorded patch does not apply to it: {reason}") from None


def data(root: Path, tree: Path, path: Path, md5: str, say: Say) -> str:
    """Put the output `path`, which `md5` names, into the tree. Returns where it was found.

    It is copied from the cache of the checkout at `root`; else DVC pulls it from the checkout's
    default remote. Raises MissingError where neither has it, and PipelineError where the cache's
    entry cannot be read.
    """
    if dvc_cache.restore(dvc_cache.folder(root), md5, tree / path):
        return "DVC's cache"
    _name_remotes(root, tree)
    try:
        dvc.run("pull", ["pull", path.as_posix()], tree, 0, say)
    except dvc.DvcError as error:
        reason = str(error).removeprefix("pull: ").rstrip(":")
        raise MissingError(
            f"it is not in DVC's cache, nor can it be pulled ({reason}): 'dvc push' it where it is"
        ) from None
    return "DVC's remote"


def run(stage: str, tree: Path, gpu: bool, say: Say) -> None:
    """The command that the tree's dvc.lock records for a stage, the tree's own code at work.

    Without `gpu` it sees none. Raises PipelineError with the stage's own error, and where dvc.lock
    records no command.
    """
    recorded = dvc_lock.stages(tree).get(stage, {}).get("cmd")
    if not isinstance(recorded, str):
        raise PipelineError(f"its dvc.lock records no command of stage {stage}")
    state = tree / project.STATE
    env = {
        **project.environment(tree),
        "RESNET_STATE": str(state),
        "MPLCONFIGDIR": str(state / "matplotlib"),
        "PYTHONPATH": str(tree),
        **({} if gpu else {"CUDA_VISIBLE_DEVICES": "-1"}),
    }
    env.pop("MLFLOW_TRACKING_URI", None)  # where it is set, training opens a run
    # As DVC runs it. The first `python` of the PATH is this interpreter: see `project.environment`.
    code, lines = processes.stream(["/bin/sh", "-c", recorded], tree, env, say)
    if code:
        raise PipelineError(processes.error(lines) or f"stage {stage} exited with {code}")


def _inside(root: Path, name: str) -> Path:
    """A path in the repository of the checkout, which may be a working tree of another."""
    return (root / _ask(root, "--git-path", name)).resolve()


def _ask(root: Path, *words: str) -> str:
    return git.run(root, "rev-parse", *words).strip()


def _name_remotes(root: Path, tree: Path) -> None:
    """Let the tree pull from where the checkout does."""
    settings = worktree.settings(root)
    if settings.has_section("cache"):
        settings.remove_section("cache")  # the tree has one of its own
    if not settings.has_section("core"):
        settings.add_section("core")
    settings.set("core", "site_cache_dir", str(tree / project.STATE / "dvc"))
    (tree / ".dvc").mkdir(exist_ok=True)
    with (tree / ".dvc" / "config.local").open("w") as stream:
        settings.write(stream)
