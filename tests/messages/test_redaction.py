"""No login in an address reaches a text that somebody else may read."""

import subprocess
import sys

import pytest

from resnet.errors import PipelineError, UnreachableError
from resnet.messages.redaction import redact
from tests.support import REPOSITORY


@pytest.mark.parametrize(
    ("address", "without"),
    [
        ("http://ann:s3cret@host:5000/api", "http://host:5000/api"),
        ("https://s3cret@host/x.git", "https://host/x.git"),
        ("postgresql+psycopg2://ann:s3cret@db:5432/x", "postgresql+psycopg2://db:5432/x"),
        ("postgresql://ann:s3/cr?e#t@db/x", "postgresql://db/x"),
        ("http://ann:s3@cret@host/", "http://host/"),
        ("http://ann:s3%40cret@[::1]:80/", "http://[::1]:80/"),
        ("/here/https:/ann:s3cret@host/cifar.tar.gz", "/here/https:/host/cifar.tar.gz"),
        ("https:/s3cret@host/x", "https:/host/x"),
        ("HTTPS://ann:s3cret@host", "HTTPS://host"),
        ("https://h/x?user=a&password=s3cret&y=1", "https://h/x?user=a&password=***&y=1"),
        ("https://h/x?access_token=s3cret", "https://h/x?access_token=***"),
        ("https://h/x?X-Amz-Signature=s3cret#a", "https://h/x?X-Amz-Signature=***#a"),
        ("https://h/x?sv=1&sig=s3cret", "https://h/x?sv=1&sig=***"),
    ],
)
def test_an_address_loses_its_login_wherever_it_stands(address: str, without: str) -> None:
    assert redact(address) == without
    assert redact(f"'{address}' failed, ({address}): {address}") == (
        f"'{without}' failed, ({without}): {without}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "models:/cifar10-resnet@production",
        "models:/m-1234@candidate and runs:/1/model",
        "http://127.0.0.1:5000/#/models/a@b?workflowType=machine_learning",
        "http://[::1]:4200/api/a@b",
        "sqlite:////data/ann@host/mlflow.db",
        "git@github.com:owner/project.git, root@vm",
        "https://host/x?page=2&order_by=accuracy",
        "file:///home/ann@work/x: not found; write to ann@example.org",
    ],
)
def test_what_is_no_login_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("kind", [PipelineError, UnreachableError])
def test_no_error_that_a_user_sees_has_a_login(kind: type[PipelineError]) -> None:
    assert str(kind("http://ann:s3cret@host does not answer")) == "http://host does not answer"


def test_logs_and_tracebacks_have_none() -> None:
    script = """
import logging
from resnet.messages import redaction
redaction.install()
logging.basicConfig()
logger = logging.getLogger("somebody's")
logger.warning("retrying %s", "http://ann:s3cret@host/a")
try:
    raise ValueError("http://ann:s3cret@host/b")
except ValueError as error:
    logger.exception("failed")
    raise RuntimeError("http://ann:s3cret@host/c") from error
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("http://host/b") == 2
    assert "WARNING:somebody's:retrying http://host/a" in done.stderr
    assert "RuntimeError: http://host/c" in done.stderr
    assert "s3cret" not in done.stderr
