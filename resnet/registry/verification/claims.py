"""What is claimed of a version: the check of each claim says what it has found, or raises.

PipelineError: what was found is not what was recorded. Unknown: it cannot be found out here.
"""

import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet import params
from resnet.checkout import dvc_cache, packages, provenance, rebuild
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.registry.verification.case import Case, Unknown
from resnet.system import files

ELSEWHERE = 2  # images by which a score may differ on another CPU or with other packages
SAME = 1e-4  # difference between probabilities below which two forms of a model are one
NAMED = 3  # of a longer list


@dataclass(frozen=True)
class Claim:
    """Something that is checked, and the names of the claims that have to hold before."""

    name: str
    check: Callable[[Case], str]
    needs: Sequence[str] = ()


def commit(case: Case) -> str:
    """The commit exists and was clean, or the recorded patch applies to it."""
    recorded, dirty = case.tag("git_commit"), case.tag("git_dirty") == "true"
    if recorded == "none":
        raise PipelineError("it was made in a folder without a git commit")
    patch = case.fetch("recipe/changes.patch").read_bytes()
    if dirty != bool(patch):
        raise PipelineError(f"git_dirty is {dirty}, and the recorded patch has {len(patch)} bytes")
    rebuild.clone(case.root, recorded, patch, case.tree)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copyfile(case.fetch(f"recipe/{name}"), case.tree / name)
    changes = f"the recorded patch ({len(patch):,} bytes) applies to it" if dirty else "clean"
    return f"{recorded[:12]} is in the repository; {changes}"


def code(case: Case) -> str:
    """What dvc.lock's stages ran with is the commit's, or what a stage before has made."""
    made, count = case.lock.outputs, 0
    for name, stage in case.lock.stages.items():
        for dependency in stage.get("deps", ()):
            path = dependency["path"]
            if path in case.own_data:
                continue
            parts = {one[len(path) + 1 :]: md5 for one, md5 in made.items() if _is_in(path, one)}
            if path in made:
                found, whose = made[path], "what the stage before made"
            elif parts:  # a folder whose files are outputs one by one
                found, whose = dvc_cache.digest_of(parts), "what the stage before made"
            elif (case.tree / path).exists():
                found, whose = dvc_cache.digest(case.tree / path), "the commit's"
            else:
                found, whose = None, "in the commit, and no stage before made it"
            if found != dependency.get("md5") or found is None:
                raise PipelineError(f"{path}, which stage {name} ran with, is not {whose}")
            count += 1
    return f"the {count} files and folders that its stages ran with are the commit's"


def parameters(case: Case) -> str:
    """The recorded params.yaml is what the stages ran with, and has the recorded hash."""
    for edited in case.lock.edited(case.values):
        raise PipelineError(edited)
    own = {name: case.values.get(name) for name in provenance.MODEL_SECTIONS}
    try:
        here = params.read(case.root)
        here["evaluate"] = {**here["evaluate"], "annotations": []}  # of another data set, perhaps
        chosen = params.check({**here, **own})
    except PipelineError as error:
        raise Unknown(f"this checkout's code reads other parameters: {error}") from None
    _same("their hash", provenance.params_hash(chosen), case.tag("params_hash"))
    return f"params.yaml is what its stages ran with; hash {_short(case.tag('params_hash'))}"


def locked(case: Case) -> str:
    """The installed packages were those that one of the commit's locks pins.

    Names and versions count. A lock is for many Pythons and platforms, so that one of its packages
    that is pinned with a marker may be absent. Of several locks the nearest counts.
    """
    locks = {path.name: path.read_text() for path in sorted(case.tree.glob("requirements*.lock"))}
    compared = {
        name: packages.compare(text, case.installed)
        for name, text in locks.items()
        if packages.pins(text)
    }
    if not compared:
        raise Unknown("the commit has no requirements.lock")
    nearest = min(compared, key=lambda name: compared[name].distance)
    found = compared[nearest]
    if found.wrong:
        raise PipelineError(f"not as {nearest} of the commit pins them: {_some(found.wrong)}")
    if not found.matching:
        raise Unknown(f"{nearest} of the commit pins all of its packages for some platforms only")
    others = f"; beside them {_some(found.unpinned)}" if found.unpinned else ""
    return f"{len(found.matching)} packages were as {nearest} of the commit pins them{others}"


def environment(case: Case) -> str:
    """Python and the packages at work are here."""
    if case.other_packages:
        raise Unknown(_here(case.other_packages))
    return f"Python {platform.python_version()} and its {len(case.installed)} packages are here"


def data(case: Case) -> str:
    """The arrays, the profile and annotations can be had, and have the recorded hashes."""
    arrays, profile = case.paths.arrays, case.paths.profile
    md5 = case.lock.md5(arrays)
    _same("dvc.lock's md5", md5, case.tag("data_hash"))
    recorded = case.fetch(f"data/{profile.name}")
    _same(profile.name, dvc_cache.digest(recorded), case.lock.md5(profile))
    _put(recorded, case.tree / profile)
    where = _bring(case, arrays)
    if case.section("evaluate").get("annotations"):
        _bring(case, case.paths.annotations)
    return f"{arrays} in {where} has its md5, {_short(md5)}; {_raw(case)}"


def model(case: Case) -> str:
    """model.keras is the published file, and holds the model of the recorded hash."""
    _same("its md5", dvc_cache.digest(case.model), case.lock.md5(case.paths.model))
    if "model_hash" not in case.answers:
        raise PipelineError(case.answers["error"])
    _same("the loaded model's hash", case.answers["model_hash"], case.version.model_hash)
    file, loaded = _short(case.version.file_hash), _short(case.version.model_hash)
    return f"model.keras is {file} as published; loaded, its hash is {loaded}"


def served(case: Case) -> str:
    """What MLflow serves answers as model.keras does."""
    if "difference" not in case.answers:
        raise PipelineError(case.answers["error"])
    found = float(case.answers["difference"])
    if not found < SAME:
        raise PipelineError(f"its probabilities differ from model.keras's by up to {found:.3g}")
    return f"MLflow's form answers as model.keras does (within {SAME:g})"


def evaluation(case: Case) -> str:
    """The metrics are those of this model, and the predictions give the same count."""
    metrics, predictions = case.evaluation.metrics, case.predictions
    _same("the evaluated model", case.evaluation.model_hash, case.version.model_hash)
    lock = DvcLock.read(case.fetch("evaluation/dvc.lock").parent)
    for path in (case.paths.metrics, case.paths.predictions):
        _same(path.name, dvc_cache.digest(case.fetch(f"evaluation/{path.name}")), lock.md5(path))
    right = int(predictions.correct_n.sum())
    return f"metrics and predictions agree: {right:,} of {metrics.images:,} right"


def score(case: Case) -> str:
    """The model, scored again, has the recorded number of images right.

    Exactly on the same CPU with the same packages, elsewhere within a few images. What is further
    apart with other packages says nothing about the recorded ones.
    """
    wanted, paths = case.evaluation.metrics, case.paths
    _put(case.model, case.tree / paths.model)
    _put(case.fetch(f"training/{paths.history.name}"), case.tree / paths.history)
    lacking = [*case.other_packages, *_gpu(case)]
    why = [*case.other_cpu, *lacking]
    _run("evaluate", case, why)
    found = files.read_json(case.tree / paths.metrics)
    _same("the test images' hash", found["test_hash"], case.version.test_hash)
    text = f"{found['correct']:,} of {found['images']:,} right"
    if found["correct"] == wanted.correct:
        return f"{text}, as recorded"
    text = f"{text}, {wanted.correct:,} recorded"
    if not why:
        raise PipelineError(f"{text}, on the same CPU and with the same packages")
    if abs(found["correct"] - wanted.correct) <= ELSEWHERE:
        return f"{text}; {_here(why)}"
    text = f"{text}, more than {ELSEWHERE} apart; {_here(why)}"
    raise Unknown(text) if lacking else PipelineError(text)


def retrain(case: Case) -> str:
    """Training again from the recorded inputs gives the same bits."""
    _run("train", case, [*case.unlike, *_gpu(case)])
    found = files.read_json(case.tree / case.paths.training)
    if found["model_hash"] == case.version.model_hash:
        return f"{found['steps']:,} steps in {found['seconds']:.0f} s gave the same bits"
    text = f"model {_short(found['model_hash'])}, {_short(case.version.model_hash)} recorded"
    device, why = case.tag("device_name"), case.unlike
    if case.on_gpu and found["device_name"] != device:
        why = [f"{found['device_name']}, not {device}", *why]
    if not case.section("train").get("deterministic"):
        why = [*why, "trained without train.deterministic"]
    if why:
        raise Unknown(f"{text}; {_here(why)}")
    raise PipelineError(f"{text}, on the same CPU and with the same packages")


REBUILT = ("commit", "code", "parameters", "data")
CLAIMS = (
    Claim("commit", commit),
    Claim("code", code, ("commit",)),
    Claim("parameters", parameters),
    Claim("packages", locked, ("commit",)),
    Claim("environment", environment),
    Claim("data", data, ("commit",)),
    Claim("model", model),
    Claim("served", served, ("model",)),
    Claim("evaluation", evaluation),
    Claim("score", score, (*REBUILT, "model", "evaluation")),
)
EVERY = (*CLAIMS, Claim("retrain", retrain, REBUILT))  # as long as the training took


def _run(stage: str, case: Case, why: Sequence[str]) -> None:
    """Run a stage in the clone, on a GPU only where the recorded run had one.

    Where the machine is unlike the recorded one for the reasons `why`, an error says little.
    """
    try:
        rebuild.run(stage, case.tree, case.on_gpu, case.say)
    except PipelineError as error:
        if why:
            raise Unknown(f"{error}; {_here(why)}") from None
        raise


def _gpu(case: Case) -> list[str]:
    return ["recorded on a GPU"] if case.on_gpu else []


def _same(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise PipelineError(f"{what} is {_short(found)}, {_short(wanted)} recorded")


def _bring(case: Case, path: Path) -> str:
    """Put a recorded output of DVC's into the clone; where it was found."""
    md5 = case.lock.md5(path)
    try:
        where = rebuild.data(case.root, case.tree, path, md5, case.say)
    except rebuild.MissingError as error:
        raise Unknown(f"{_short(md5)} cannot be had: {error}") from None
    _same(f"{path} in {where}", dvc_cache.digest(case.tree / path), md5)
    return where


def _raw(case: Case) -> str:
    """Read the raw files that are at hand; what was found, and what was not.

    They are many times as large as all else and no stage that runs here needs them, so they are
    not pulled. A file of the checkout that has another md5 may belong to another data set.
    """
    home, raw, missing, count = dvc_cache.folder(case.root), case.paths.raw.as_posix(), [], 0
    for path, md5 in case.lock.outputs.items():
        if not _is_in(raw, path):
            continue
        cached, here = dvc_cache.place(home, md5), case.root / path
        if cached.is_file():
            _same(f"{path} in DVC's cache", dvc_cache.digest(cached), md5)
        elif not (here.is_file() and dvc_cache.digest(here) == md5):
            missing.append(Path(path).name)
            continue
        count += 1
    lacking = f"; not to be had here: {', '.join(missing)}" if missing else ""
    return f"so have {count} of {count + len(missing)} raw files{lacking}"


def _is_in(folder: str, path: str) -> bool:
    return path.startswith(f"{folder}/")


def _put(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def _short(digest: str) -> str:
    return f"{digest[:12]}…"


def _here(found: Sequence[str]) -> str:
    """What here is not as it was when the version was made."""
    return f"here: {_some(found)}"


def _some(found: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + more
