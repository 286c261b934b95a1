"""The notebook works as it is: its cells run, in order, over a small registry."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.registry import store
from resnet.registry.tracking.publish import publish
from tests.support import REPOSITORY

NOTEBOOK = REPOSITORY / "docs" / "notebooks" / "load-the-model.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]


def test_the_notebook_loads_the_model_in_production_and_scores_images(
    empty_store: Path,
    tmp_path: Path,
    parameters: params.Params,
    write_outputs: Callable[..., str],
    enter: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    write_outputs(tmp_path, parameters)
    version = publish(parameters, tmp_path)
    client = store.client(tmp_path)
    client.set_registered_model_alias(version.name, "production", "1")
    (tmp_path / "docs" / "notebooks").mkdir(parents=True)
    enter(tmp_path / "docs" / "notebooks")
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    with store.as_default(client):  # afterwards MLflow has the former default again
        for cell in CELLS:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)  # noqa: S102
    assert names["probabilities"].shape == (4, 10)
    np.testing.assert_allclose(
        names["network"].predict(names["images"], verbose=0), names["probabilities"], atol=1e-5
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["class", str(k)] for k in range(4)]
    assert len(names["figure"].axes) == 4


def test_the_notebook_is_kept_without_outputs() -> None:
    assert all(not cell.get("outputs") for cell in CELLS)
    assert all(cell.get("execution_count") is None for cell in CELLS)
