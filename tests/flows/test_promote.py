"""What the flow itself refuses; the deployment is tested end to end."""

from pathlib import Path

import pytest

from flows import promote
from resnet.errors import PipelineError


def test_an_approval_is_not_forced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(promote, "enter_checkout", lambda: tmp_path)
    with pytest.raises(
        PipelineError, match="force goes only with promote, and the action is approve"
    ):
        promote.promote.fn(2, "both", "approve", force=True)
