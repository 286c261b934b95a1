"""A login in an address is not in what a command prints."""

import pytest

from resnet import cli
from tests.support import REPOSITORY
from tests.support.registry import enter  # noqa: F401

PREFECT, MLFLOW = "PREFECT_API_URL", "MLFLOW_TRACKING_URI"
NOBODY = "ann:s3cret@127.0.0.1:9"


@pytest.mark.parametrize(
    ("words", "variable", "address"),
    [
        ("run", PREFECT, f"http://{NOBODY}/api"),
        ("deploy", PREFECT, f"http://{NOBODY}/api"),
        ("history", MLFLOW, f"http://{NOBODY}"),
        ("ui", MLFLOW, f"postgresql://{NOBODY}/mlflow"),
        ("history", MLFLOW, f"postgresql://{NOBODY}/mlflow"),
        ("history", MLFLOW, f"made-up://{NOBODY}/mlflow"),
        ("fetch", "CIFAR10_ARCHIVE", f"https://{NOBODY}/cifar.tar.gz?token=s3cret"),
    ],
)
def test_an_error_repeats_no_login(enter, monkeypatch, tmp_path, capsys, words, variable, address):  # noqa: F811
    enter(tmp_path)
    for name in ("params.yaml", "dvc.yaml", "prefect.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    monkeypatch.setenv(variable, address)
    assert cli.main([words]) == 1
    printed = "".join(capsys.readouterr())
    assert printed.startswith("error: ") or "\nerror: " in printed
    assert "127.0.0.1:9" in printed
    assert "s3cret" not in printed
