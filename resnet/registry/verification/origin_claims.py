"""Checks of what a version was made from: code, parameters, packages, data.

Each returns what it found. PipelineError: that is not what was recorded. Unknown: it cannot be
checked here.
"""

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from resnet import params
from resnet.checkout import changes, dvc_cache, dvc_settings, packages, provenance, rebuild
from resnet.errors import PipelineError
from resnet.registry.verification import checks
from resnet.registry.verification.version_under_test import Unknown, VersionUnderTest


def commit(subject: VersionUnderTest) -> str:
    """The commit exists and was clean, or the recorded patch applies to it."""
    recorded, dirty = subject.tag("git_commit"), subject.tag("git_dirty") == "true"
    if recorded == "none":
        raise PipelineError("it was made in a folder without a git commit")
    content = subject.fetch("recipe/changes.patch").read_bytes()
    if dirty != bool(content):
        raise PipelineError(
            f"git_dirty is {dirty}, and the recorded patch has {len(content)} bytes"
        )
    unrecorded, patch = changes.split(content.decode(errors="surrogateescape"))
    rebuild.clone(subject.root, recorded, patch, subject.clone)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copyfile(subject.fetch(f"recipe/{name}"), subject.tree / name)
    state = f"the recorded patch ({len(content):,} bytes) applies to it" if patch else "clean"
    if unrecorded:
        state += (
            f" but for {len(unrecorded)} files of which recipe/changes.patch has only the names"
        )
    return f"{recorded[:12]} is in the repository; {state}"


def code(subject: VersionUnderTest) -> str:
    """The stages in dvc.lock ran with the commit's files, or with outputs of an earlier stage."""
    outputs, count = subject.lock.outputs, 0
    for name, stage in subject.lock.stages.items():
        for dependency in stage.get("deps", ()):
            path = dependency["path"]
            if path in subject.own_data:
                continue
            files_in = {
                output[len(path) + 1 :]: md5
                for output, md5 in outputs.items()
                if _is_in(path, output)
            }
            if path in outputs:
                md5, origin = outputs[path], "an output of an earlier stage"
            elif files_in:  # a folder whose files are outputs one by one
                md5, origin = dvc_cache.digest_of(files_in), "an output of an earlier stage"
            elif (subject.tree / path).exists():
                md5, origin = dvc_cache.digest(subject.tree / path), "the commit's"
            else:
                raise PipelineError(
                    f"{path}, which stage {name} ran with, is neither in the commit nor an output "
                    "of an earlier stage"
                )
            if md5 != dependency.get("md5"):
                raise PipelineError(f"{path}, which stage {name} ran with, is not {origin}")
            count += 1
    return f"the {count} files and folders that its stages ran with are the commit's"


def parameters(subject: VersionUnderTest) -> str:
    """The stages ran with the recorded params.yaml, which has the recorded hash."""
    for edited in subject.lock.edited(subject.values):
        raise PipelineError(edited)
    own = {name: subject.values.get(name) for name in provenance.MODEL_SECTIONS}
    try:
        here = params.read(subject.root)
        evaluate = here.get("evaluate")
        if isinstance(evaluate, Mapping):  # else the check says what is wrong
            here["evaluate"] = {**evaluate, "annotations": []}  # of another data set, perhaps
        recorded = params.check({**here, **own})
    except PipelineError as error:
        raise Unknown(f"this checkout's code has other parameters: {error}") from None
    checks.same("their hash", provenance.params_hash(recorded), subject.tag("params_hash"))
    return (
        f"params.yaml is what its stages ran with; hash {checks.short(subject.tag('params_hash'))}"
    )


def locked(subject: VersionUnderTest) -> str:
    """The installed packages were those that one of the commit's locks pins for their Python.

    All of them, that is; the others that were installed are named. Of several locks the nearest
    counts.
    """
    markers = packages.environment_markers(subject.tag("version.python"), subject.tag("system"))
    locks = {
        path.name: packages.pins(path.read_text(), markers)
        for path in sorted(subject.tree.glob("requirements*.lock"))
    }
    wrong = {
        name: packages.missing(pins, subject.installed) for name, pins in locks.items() if pins
    }
    if not wrong:
        raise Unknown("the commit has no requirements.lock")
    unpinned = {name: sorted(subject.installed.keys() - locks[name].keys()) for name in wrong}
    nearest = min(wrong, key=lambda name: (len(wrong[name]), len(unpinned[name])))
    if wrong[nearest]:
        raise PipelineError(
            f"not as {nearest} of the commit pins them: {checks.some(wrong[nearest])}"
        )
    others = f"; beside them {checks.some(unpinned[nearest])}" if unpinned[nearest] else ""
    return f"{len(locks[nearest])} packages were as {nearest} of the commit pins them{others}"


def environment(subject: VersionUnderTest) -> str:
    """This Python and its packages are the recorded ones."""
    if subject.other_packages:
        raise Unknown(checks.here(subject.other_packages))
    return f"Python {platform.python_version()} and its {len(subject.installed)} packages are here"


def data(subject: VersionUnderTest) -> str:
    """The arrays, the profile and annotations are available, and have the recorded hashes."""
    arrays, profile = subject.paths.arrays, subject.paths.profile
    md5 = subject.lock.md5(arrays)
    checks.same("dvc.lock's md5", md5, subject.tag("data_hash"))
    recorded = subject.fetch(f"data/{profile.name}")
    checks.same(profile.name, dvc_cache.digest(recorded), subject.lock.md5(profile))
    checks.put(recorded, subject.tree / profile)
    where = _restore(subject, arrays)
    if subject.section("evaluate").get("annotations"):
        _restore(subject, subject.paths.annotations)
    return f"{arrays} in {where} has its md5, {checks.short(md5)}; {_raw(subject)}"


def _restore(subject: VersionUnderTest, path: Path) -> str:
    """Put a recorded output of DVC into the clone; returns where it was found."""
    md5 = subject.lock.md5(path)
    try:
        where = rebuild.data(subject.root, subject.tree, path, md5, subject.say)
    except rebuild.MissingError as error:
        raise Unknown(f"{checks.short(md5)} is not available: {error}") from None
    checks.same(f"{path} in {where}", dvc_cache.digest(subject.tree / path), md5)
    return where


def _raw(subject: VersionUnderTest) -> str:
    """Verify the raw files that are available here; how many, and which are not.

    They are many times as large as all else, and no stage that runs here needs them, so they are
    not pulled. A file of the checkout that has another md5 may belong to another data set.
    """
    home = dvc_settings.cache_folder(subject.root)
    raw, missing, count = _raw_files(subject, home), [], 0
    if not raw:
        return "raw files: not available here"
    for path, md5 in raw.items():
        cached, here = dvc_cache.place(home, md5), subject.root / path
        if cached.is_file():
            checks.same(f"{path} in DVC's cache", dvc_cache.digest(cached), md5)
        elif not (here.is_file() and dvc_cache.digest(here) == md5):
            missing.append(Path(path).name)
            continue
        count += 1
    unavailable = f"; not available here: {', '.join(missing)}" if missing else ""
    return f"raw files: {count} of {count + len(missing)} verified{unavailable}"


def _raw_files(subject: VersionUnderTest, home: Path) -> dict[str, str]:
    """The md5 of each raw file by its path; none where the listing of their folder is not here."""
    raw, outputs = subject.paths.raw.as_posix(), subject.lock.outputs
    listing = dvc_cache.place(home, outputs[raw]) if raw in outputs else None
    if listing is not None and listing.is_file():
        return {f"{raw}/{name}": md5 for name, md5 in dvc_cache.listing(listing).items()}
    # Earlier releases listed them one by one.
    return {path: md5 for path, md5 in outputs.items() if _is_in(raw, path)}


def _is_in(folder: str, path: str) -> bool:
    return path.startswith(f"{folder}/")
