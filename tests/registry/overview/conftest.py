"""Versions with all that `resnet versions` and `resnet diff` read, in a real SQLite store."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from resnet import params
from resnet.registry import store, versions
from resnet.registry.gate import gate
from resnet.registry.promotion import promotion
from tests.support import REPOSITORY

from mlflow.entities import Param

Record = Callable[..., int]
BASE = {"net.depth": "8", "train.seed": "0", "train.epochs": "5"}


@pytest.fixture(scope="module")
def record(made_store: Path, register: Callable[..., int]) -> Record:
    """Register a version, with `parameters` other than BASE and `tags` of it, as publish does."""
    client = store.client(made_store)

    def record(
        name: str,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> int:
        number = register(name, **kwargs)
        version = versions.resolve(client, name, number)
        values = {**BASE, **(parameters or {})}
        client.log_batch(version.run_id, params=[Param(*pair) for pair in values.items()])
        store.log_metrics(client, version.run_id, {"accuracy": kwargs["correct"] / 10_000})
        client.set_tag(version.run_id, "logged.evaluation", version.evaluation_hash)
        for key, value in (tags or {}).items():
            client.set_model_version_tag(name, str(number), key, value)
        return number

    return record


@pytest.fixture(scope="module")
def three(made_store: Path, record: Record, check: Callable[..., None]) -> Path:
    """A checkout: the second of three versions of `three` is in production, the third refused."""
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / file, made_store)
    rules = params.load(REPOSITORY).gate
    first, second = {"git_commit": "a" * 40}, {"git_commit": "b" * 40, "git_dirty": "true"}
    record("three", correct=8000, tags={**first, "data_hash": "d" * 32})
    record("three", {"train.seed": "1"}, {**first, "data_hash": "d" * 32}, correct=8200)
    worse = {"train.seed": "1", "train.epochs": "2"}
    record("three", worse, {**second, "data_hash": "e" * 32, "cause": "night"}, correct=7000)
    for number in (2, 3):
        verdict = gate.judge(made_store, "three", number, rules)
        promotion.promote(made_store, verdict, reason="why", check=check)
    return made_store
