"""Restore a recorded commit in a folder of its own, and run its stages there with its own code.

Nothing outside that folder is written: not the checkout, not DVC's cache, no MLflow store.
"""

import shutil
from pathlib import Path

from resnet.checkout import dvc, dvc_cache, dvc_lock, dvc_settings, dvc_yaml, git, project
from resnet.errors import PipelineError
from resnet.system import processes
from resnet.system.processes import Say


class MissingError(PipelineError):
    """The data is in neither DVC's cache nor its remote."""


def clone(root: Path, commit: str, patch: str, tree: Path) -> None:
    """A clone of the checkout's repository as `tree`: `commit`, and the patch of a record on top.

    Raises PipelineError if the repository has no such commit, or if the patch does not apply.
    """
    # The commit may no longer be on a branch, so the clone shares all objects of the checkout.
    # 'git clone --shared' does the same, but of a shallow repository it copies only the branches.
    object_format = _rev_parse(root, "--show-object-format")
    git.run(root, "init", "--quiet", f"--object-format={object_format}", str(tree))
    (tree / ".git" / "objects" / "info" / "alternates").write_text(f"{_inside(root, 'objects')}\n")
    shallow = _inside(root, "shallow")
    if shallow.exists():
        shutil.copyfile(shallow, tree / ".git" / "shallow")
    if not git.run(tree, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", check=False):
        deepen = "; it is shallow: 'git fetch --unshallow'" if shallow.exists() else ""
        raise PipelineError(
            f"commit {commit[:12]} is not in this checkout's repository: fetch the branch that "
            f"has it{deepen}"
        )
    git.run(tree, "checkout", "--quiet", "--detach", commit, as_committed=True)
    if patch:
        try:
            git.run(tree, "apply", "--whitespace=nowarn", "-", stdin=patch, as_committed=True)
        except PipelineError as error:
            reason = str(error).partition("error: ")[2]
            raise PipelineError(f"the recorded patch does not apply to it: {reason}") from None


def data(root: Path, tree: Path, path: Path, md5: str, say: Say) -> str:
    """Put the output `path`, which has that `md5`, into the tree. Returns where it was found.

    It is copied from the cache of the checkout at `root`; else DVC pulls it from the checkout's
    default remote. Raises MissingError if neither has it, and PipelineError if the cache's entry
    cannot be read.
    """
    if dvc_cache.restore(dvc_settings.cache_folder(root), md5, tree / path):
        return "DVC's cache"
    _configure_remotes(root, tree)
    try:
        dvc.run("pull", ["pull", path.as_posix()], tree, 0, say)
    except dvc.DvcError as error:
        reason = str(error).removeprefix("pull: ").rstrip(":")
        raise MissingError(
            f"it is not in DVC's cache and cannot be pulled ({reason}): 'dvc push' it from a "
            "checkout that has it"
        ) from None
    return "DVC's remote"


def run(stage: str, tree: Path, gpu: bool, say: Say) -> None:
    """Run the command that the tree's dvc.lock records for a stage, with the tree's own code.

    Without `gpu` no GPU is visible to it. Raises PipelineError with the stage's own error, and if
    dvc.lock records no command, or another than the tree's dvc.yaml has.
    """
    recorded = dvc_lock.stages(tree).get(stage, {}).get("cmd")
    if not isinstance(recorded, str):
        raise PipelineError(f"its dvc.lock records no command of stage {stage}")
    if recorded != (listed := dvc_yaml.command(stage, tree)):
        raise PipelineError(
            f"its dvc.lock records the command {recorded!r} of stage {stage}, and the commit's "
            f"dvc.yaml has {listed!r}: it was edited, and is not run"
        )
    state = tree / project.STATE
    env = {
        **project.environment(tree),
        "RESNET_STATE": str(state),
        "MPLCONFIGDIR": str(state / "matplotlib"),
        "PYTHONPATH": str(tree),
        **({} if gpu else {"CUDA_VISIBLE_DEVICES": "-1"}),
    }
    env.pop("MLFLOW_TRACKING_URI", None)  # if it is set, training opens a run
    # As DVC runs it. The first `python` on the PATH is this interpreter: see `project.environment`.
    code, lines = processes.stream(["/bin/sh", "-c", recorded], tree, env, say)
    if code:
        raise PipelineError(processes.error(lines) or f"stage {stage} exited with {code}")


def _inside(root: Path, name: str) -> Path:
    """A path in the checkout's repository, which may be another folder's if it is a worktree."""
    return (root / _rev_parse(root, "--git-path", name)).resolve()


def _rev_parse(root: Path, *words: str) -> str:
    return git.run(root, "rev-parse", *words).strip()


def _configure_remotes(root: Path, tree: Path) -> None:
    """Let the tree pull from the checkout's remotes, into a cache of its own."""
    settings = dvc_settings.read(root)
    site = {"site_cache_dir": str(tree / project.STATE / "dvc")}
    own = {"core": {**settings.get("core", {}), **site}, "cache": {"dir": "cache"}}
    dvc_settings.write(tree, {**settings, **own})
