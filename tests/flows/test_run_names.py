"""Flow runs are called by what differs between them. A real server shows it end to end."""

from types import SimpleNamespace

import pytest

from flows import retrain, score


@pytest.mark.parametrize(
    ("module", "parameters", "name"),
    [
        (retrain, {"preset": "quick", "overrides": None, "cause": None}, "quick"),
        (retrain, {"preset": "fast", "overrides": ["train.seed=2"]}, "fast train.seed=2"),
        (retrain, {"preset": "quick", "cause": "night was added"}, "quick (night was added)"),
        (score, {"source": "/data/night.parquet"}, "score night.parquet"),
        (score, {"source": "data/night/"}, "score night"),
        (score, {"source": "."}, "score ."),
    ],
)
def test_a_flow_run_is_called_by_what_differs(
    monkeypatch: pytest.MonkeyPatch, module: object, parameters: dict[str, object], name: str
) -> None:
    monkeypatch.setattr(module, "flow_run", SimpleNamespace(parameters=parameters))
    assert module.run_name() == name  # type: ignore[attr-defined]
