"""What `resnet run --dry-run` says of the registry; of the stages: tests/checkout/test_plan.py."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet import params
from resnet.checkout.plan import StagePlan
from resnet.errors import PipelineError
from resnet.evaluation.records import Evaluation
from resnet.operations import dry_run
from resnet.registry import store
from tests.support import REPOSITORY

SKIPPED = [StagePlan("train", "skip", "nothing changed")]
ASKED = "the gate is asked (if-better)"


@pytest.fixture
def made(
    tmp_path: Path,
    parameters: params.Params,
    write_outputs: Callable[..., str],
) -> Path:
    """A checkout whose stages have run, without a registry."""
    write_outputs(tmp_path, parameters)
    return tmp_path


def register(root: Path, name: str) -> None:
    """A version of the model that the stages made, as an earlier release published it."""
    client = store.client(root)
    scored = Evaluation.read(root / "reports" / "metrics.json")
    tags = {"model_hash": scored.model_hash, "evaluation_hash": scored.hash}
    run = client.create_run(store.experiment(client, name)).info.run_id
    client.set_tag(run, "logged.card", f"{scored.hash} undecided")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run}/model.keras", run, tags=tags)


def test_without_a_registry_the_version_is_the_first_and_no_store_is_made(
    made: Path,
    parameters: params.Params,
) -> None:
    lines = dry_run._registry(made, made, parameters, SKIPPED, "if-better")
    assert lines == [f"registry: a first version of cifar10-resnet; then {ASKED}"]
    assert not (made / ".state" / "mlflow").exists()


def test_what_the_registry_lacks_of_the_model_is_said(
    made: Path,
    parameters: params.Params,
    empty_store: Path,
) -> None:
    shutil.copytree(empty_store / ".state", made / ".state")
    told = []
    for make in (lambda: None, lambda: register(made, parameters.model_name)):
        make()
        told += dry_run._registry(made, made, parameters, SKIPPED, "if-better")
    assert told == [
        f"registry: a new version of cifar10-resnet; then {ASKED}",
        "registry: the portable forms of cifar10-resnet version 1",
        f"registry: cifar10-resnet version 1 is registered; {ASKED}",
    ]


@pytest.mark.parametrize("action", ["run", "depends"])
def test_where_a_stage_would_run_the_model_is_not_known(
    tmp_path: Path,
    parameters: params.Params,
    action: str,
) -> None:
    plans = [*SKIPPED, StagePlan("evaluate", action, "why")]  # type: ignore[arg-type]
    *_, last = dry_run._registry(tmp_path, tmp_path, parameters, plans, "never")
    assert last == (
        "registry: a new version of cifar10-resnet, unless it has this model; then the gate is "
        "not asked (never)"
    )


def test_invalid_parameters_are_an_error_before_anything_is_made() -> None:
    before = sorted((REPOSITORY / ".state" / "runs").glob("*"))
    with pytest.raises(PipelineError, match="did you mean 'train.epochs'"):
        dry_run.report(REPOSITORY, "quick", ["epochs=3"], "never", or_synthetic=False)
    assert sorted((REPOSITORY / ".state" / "runs").glob("*")) == before
