"""A server that the user has named is found, or the error says what is there instead."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from resnet.errors import PipelineError
from resnet.system import addresses

LOGIN = "Basic YW5uOnBhc3M="  # ann:pass


@contextmanager
def answering(pages: dict[str, bytes], login: str | None = None) -> Iterator[str]:
    """The address of a server with these pages, by their paths; of each, for those who log in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if login and self.headers["Authorization"] != login:
                self.send_error(401)
            elif (page := pages.get(self.path, pages.get("*"))) is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(page)

        def log_message(self, *words: object) -> None:
            """Not on the terminal."""

    with ThreadingHTTPServer((addresses.HOST, 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{addresses.HOST}:{server.server_port}"
        server.shutdown()


PAGE = b"<html>"
PREFECT = {"/api/admin/version": json.dumps("3.8.8").encode(), "/api/health": b"true", "*": PAGE}


def test_a_prefect_server_is_found_with_a_slash_at_its_end_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering(PREFECT) as server:
        for end in ("/api", "/api/"):
            monkeypatch.setenv("PREFECT_API_URL", server + end)
            assert addresses.running_prefect() == f"{server}/api"


@pytest.mark.parametrize(
    ("pages", "path", "problem"),
    [
        (PREFECT, "", "where Prefect shows its pages: name its API, {server}/api"),
        ({"*": PAGE}, "/api", "where a program answers that is no Prefect API: name one"),
        ({}, "/api", "where a program answers that is no Prefect API: name one"),
    ],
)
def test_an_address_of_prefects_pages_or_of_another_program_is_told(
    monkeypatch: pytest.MonkeyPatch, pages: dict[str, bytes], path: str, problem: str
) -> None:
    with answering(pages) as server:
        monkeypatch.setenv("PREFECT_API_URL", server + path)
        message = f"PREFECT_API_URL is {server}{path}, {problem.format(server=server)}"
        with pytest.raises(PipelineError, match=re.escape(message)):
            addresses.running_prefect()


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("PREFECT_API_URL", "http://127.0.0.1:9/api", "which does not answer: start it, or unset"),
        ("PREFECT_API_URL", "127.0.0.1:4200/api", "which is not the address of a server"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "which does not answer: start it, or unset"),
    ],
)
def test_a_named_server_that_is_down_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(PipelineError, match=re.escape(f"{variable} is {value}, {problem}")):
        addresses.require_named(variable)


def test_a_login_is_sent_and_a_refused_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(PREFECT, LOGIN) as server:
        monkeypatch.setenv("PREFECT_API_URL", f"{server}/api")
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ann:pass")
        assert addresses.running_prefect() == f"{server}/api"
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ann:wrong")
        with pytest.raises(PipelineError, match="which refuses the login: set PREFECT_API_AUTH"):
            addresses.running_prefect()


@pytest.mark.parametrize(
    ("pages", "right"), [({"/health": b"OK"}, True), ({"/health": b"true"}, False), ({}, False)]
)
def test_mlflows_server_is_told_from_another_program(
    monkeypatch: pytest.MonkeyPatch, pages: dict[str, bytes], right: bool
) -> None:
    with answering(pages) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        if right:
            addresses.require_named("MLFLOW_TRACKING_URI")
        else:
            with pytest.raises(PipelineError, match="a program answers that is no MLflow server"):
                addresses.require_named("MLFLOW_TRACKING_URI")


@pytest.mark.parametrize("value", ["no", "0", "65536", "-1"])
def test_a_number_that_is_no_port_is_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RESNET_MLFLOW_PORT", value)
    with pytest.raises(PipelineError, match=f"RESNET_MLFLOW_PORT is {value}: want a port"):
        addresses.own_mlflow()
