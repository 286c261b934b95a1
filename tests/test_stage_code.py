"""The code that a result depends on is listed once, in dvc.yaml, and none of it is missing.

import-linter's graph knows what a stage imports, inside functions too.
"""

import grimp
import pytest

from resnet.checkout import dvc_yaml
from tests.support import REPOSITORY

ENTRIES = {  # what the command of each stage calls
    "fetch": ["resnet.data.fetch"],
    "ingest": ["resnet.data.ingest"],
    "annotate": ["resnet.data.sets.annotations"],
    "train": ["resnet.training.train"],
    "evaluate": ["resnet.evaluation.evaluate", "resnet.model.backend"],
    "export": ["resnet.export.export", "resnet.model.backend"],
}
CANNOT_CHANGE_A_RESULT = {
    "resnet.errors": "the text of an error",
    "resnet.params": "it checks parameters; those that a stage reads are recorded with it",
    "resnet.messages.redaction": "the text of an error",
    "resnet.system.account": "the name in a text, and the environment of the tools",
    "resnet.system.disk_errors": "the text of an error",
    "resnet.system.files": "how a file is written, not what is in it",
    "resnet.system.mappings": "it lays overrides over parameters: as resnet.params",
    "resnet.system.progress": "lines for a person",
    "resnet.messages.spelling": "the text of an error",
}
ALSO_HARMLESS = {  # in these stages
    "fetch": {
        "resnet.data.datasets": "its files are compared with the manifest's hashes",
        "resnet.data.download": "as above",
        "resnet.data.fetch": "as above",
        "resnet.data.sources": "as above",
        "resnet.data.sets.cifar_pickle_writer": "as above",
        "resnet.forms.names": "it checks the manifest",
    },
    "ingest": {"resnet.data.datasets": "it compares the raw files with the manifest's hashes"},
    "annotate": {
        "resnet.data.datasets": "its files are compared with the manifest's hashes",
        "resnet.data.download": "as above",
        "resnet.forms.names": "it checks the manifest",
    },
    "train": {
        "resnet.system.termination": "when a training is interrupted, not what it gives",
        "resnet.system.file_locks": "that one process trains the same at a time",
        "resnet.checkout.checkpoint_folders": "where checkpoints are",
        "resnet.checkout.project": "as above",
        "resnet.system.network": "which servers it tells",
        "resnet.checkout.provenance": "the key of a checkpoint, made of all this",
        "resnet.checkout.changes": "as above",
        "resnet.checkout.dvc_cache": "as above",
        "resnet.checkout.dvc_lock": "as above",
        "resnet.checkout.dvc_yaml": "as above",
        "resnet.checkout.git": "as above",
    },
    "export": {
        "resnet.system.cores": "how many batches are computed at a time, not what they give",
    },
    "evaluate": {
        "resnet.data.datasets": "annotations come from the stage before",
        "resnet.data.download": "as above",
    },
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("resnet")


def listed(stage: str) -> set[str]:
    """The modules in the files and folders that dvc.yaml lists for a stage."""
    paths = [REPOSITORY / path for path in dvc_yaml.code(stage, REPOSITORY) if "${" not in path]
    sources = [one for path in paths for one in ([path] if path.is_file() else path.rglob("*.py"))]
    names = [
        one.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".") for one in sources
    ]
    return {name for name in names if not name.endswith("__init__")}


def imported(graph: grimp.ImportGraph, stage: str) -> set[str]:
    """The modules that a stage imports, directly or not; packages are not among them."""
    entries = ENTRIES[stage]
    modules = set(entries).union(*(graph.find_upstream_modules(entry) for entry in entries))
    return {name for name in modules if not graph.find_children(name)}


def test_every_stage_has_an_entry() -> None:
    assert tuple(ENTRIES) == dvc_yaml.stages(REPOSITORY)


@pytest.mark.parametrize("stage", ENTRIES)
def test_what_a_stage_imports_is_listed_in_dvc_yaml_or_cannot_change_its_result(
    graph: grimp.ImportGraph, stage: str
) -> None:
    harmless = CANNOT_CHANGE_A_RESULT.keys() | ALSO_HARMLESS[stage].keys()
    code, closure = listed(stage), imported(graph, stage)
    assert closure - code - harmless == set()
    assert code & harmless == set()
    assert ALSO_HARMLESS[stage].keys() <= closure


@pytest.mark.parametrize("stage", ENTRIES)
def test_a_stage_depends_on_no_code_that_it_does_not_import(
    graph: grimp.ImportGraph, stage: str
) -> None:
    assert listed(stage) - imported(graph, stage) == set()
