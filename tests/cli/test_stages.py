"""The stages of dvc.yaml as commands; each of them runs end to end elsewhere."""

import pytest

from resnet import cli
from resnet.checkout import dvc_yaml
from tests.support import REPOSITORY


@pytest.mark.parametrize("stage", dvc_yaml.stages(REPOSITORY))
def test_each_stage_of_dvc_yaml_is_a_command(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="^0$"):
        cli.main([stage, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: resnet {stage} ")
