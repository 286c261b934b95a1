"""Checks of the working tree: the data, what DVC tracks, and what ended processes left."""

from pathlib import Path

from resnet import params
from resnet.checkout import dvc, dvc_rwlock, git, worktree
from resnet.errors import PipelineError
from resnet.operations.doctor.finding import Finding


def repository(root: Path) -> list[Finding]:
    """Whether git tells which commit a version is made from; its own words where it does not."""
    head, top = git.commit(root), git.top(root)  # raise what git says
    if head is None:
        remedy = "commit the code" if top else "run 'git init' and commit the code"
        text = f"versions made here are registered without a commit of their code: {remedy}"
        return [Finding("warn", "repository", text)]
    within = f", a folder of the repository {top}" if git.prefix(root) else ""
    return [Finding("ok", "repository", f"git commit {head[:12]}{within}")]


def data(root: Path) -> list[Finding]:
    """Whether the data set is here, or can be downloaded."""
    from resnet.data import datasets, sources

    parameters = params.load(root)
    dataset = datasets.load(parameters.data.dataset)
    sources.user_source(dataset, parameters.paths)  # raises if what the user named does not exist
    if why := sources.why_unavailable(dataset, parameters.paths):
        advice = f"set {dataset.variable} to an archive of {dataset.title}"
        return [Finding("warn", "data", f"{why}: {advice}")]
    return [Finding("ok", "data", f"{parameters.data.dataset} is here or can be downloaded")]


def added(root: Path) -> list[Finding]:
    """Added samples whose present state DVC does not track."""
    from resnet.data import additions

    batches = additions.batches(root / params.load(root).paths.extra)
    problems = [problem for batch in batches if (problem := batch.problem())]
    return [Finding("warn", "added", problem) for problem in problems] or [
        Finding("ok", "added", f"DVC tracks every batch of added samples ({len(batches)})")
    ]


def hidden(root: Path) -> list[Finding]:
    """The .dvc files that DVC does not see, so that `dvc pull` removes their data."""
    if git.commit(root) is None:
        return [Finding("ok", "hidden", "not checked: this is not a git checkout with a commit")]
    return [
        Finding(
            "fail",
            "hidden",
            f"DVC does not see {name}: 'dvc push' leaves its data out, 'dvc pull' and 'dvc "
            "checkout' remove them. A pattern of .gitignore or .dvcignore matches its folder: "
            "write /folder/?* for /folder/*",
        )
        for name in dvc.hidden_files(root, params.load(root).runtime.lock_seconds)
    ] or [Finding("ok", "hidden", "DVC sees every .dvc file")]


def locks(root: Path) -> list[Finding]:
    """Locks of DVC whose holder is gone, and working trees that failed runs left."""
    findings = []
    rwlock = dvc_rwlock.path(root)
    try:
        holders = dvc_rwlock.holders(root)
    except PipelineError as error:
        findings.append(Finding("fail", "locks", str(error)))
        holders = []
    dead, alive = (
        ", ".join(str(pid) for pid in sorted({one.pid for one in holders if one.state == state}))
        for state in ("ended", "alive")
    )
    findings += [
        Finding("fail", "locks", dvc_rwlock.advice(root, holder))
        for holder in holders
        if holder.state == "replaced"
    ]
    if dead:
        findings.append(
            Finding("warn", "locks", f"{rwlock} names ended processes {dead}: DVC removes them")
        )
    if alive:
        findings.append(Finding("warn", "locks", f"dvc is running here: processes {alive}"))
    left = len(worktree.left_over(root))
    if left:
        text = f"working trees left by failed runs: {left}; inspect them, then run 'make clean'"
        findings.append(Finding("warn", "locks", text))
    return findings or [Finding("ok", "locks", "no stale lock, no left-over working tree")]
