"""The stores of the rows about the registry are whole, and each work can be done in them."""

import shutil
from pathlib import Path

import pytest

from benchmarks import registry_growth, registry_store
from resnet.registry import store
from resnet.registry.promotion import history


def test_a_grown_store_is_in_order_and_each_work_leaves_it_as_it_was(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    grown = registry_store.grow(tmp_path, 5)
    events, problems = history.read(tmp_path, registry_store.NAME, verify=True)
    assert ([event.version for event in events], problems) == ([1, 2, 3, 4, 5], [])
    for work in registry_growth._works().values():
        with grown.unchanged():
            work(grown)
        assert history.read(tmp_path, registry_store.NAME) == (events, [])
    versions = store.client(tmp_path).search_model_versions(f"name = '{registry_store.NAME}'")
    assert {one.tags["model_hash"] for one in versions} == {
        registry_store.model_hash(number) for number in range(1, 6)
    }
