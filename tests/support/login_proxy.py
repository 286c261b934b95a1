"""A server before another one, which lets nobody pass without the login."""

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

HEADERS = ("content-type", "content-length")


@contextmanager
def login_proxy(address: str, login: str, forbidden: str | None = None) -> Iterator[str]:
    """The address before `address`; `login` is user:password.

    `forbidden` begins the requests, such as DELETE /path, that this user may not make.
    """
    expected = "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            if self.headers["Authorization"] != expected:
                self.send_error(401)
                return
            if forbidden and f"{self.command} {self.path}".startswith(forbidden):
                self.send_error(403)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: self.headers[name] for name in HEADERS if name in self.headers}
            request = urllib.request.Request(
                address + self.path, body or None, headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    status, kind, content = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                status, kind, content = error.code, error.headers, error.read()
            self.send_response(status)
            self.send_header("content-type", kind["content-type"])
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

        def log_message(self, *words: object) -> None:
            """Not on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
