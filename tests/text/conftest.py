"""A separate cache for each test, and a file server with selectable faults."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import settings

# A slow machine is no reason to fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test sees the user's cache, their data folder, or their proxy."""
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TIDEGATE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "data"


class FileServer(ThreadingHTTPServer):
    """Serves `body` at any path and notes the Range header of every request in `asked`.

    `cuts`: after how many bytes to break off, one entry per request; None or no entry sends all. `ranges`:
    whether Range is obeyed. `length`: whether Content-Length is sent. `status`: if not 200, all that comes.
    """

    def __init__(self, body: bytes, cuts, ranges: bool, length: bool, status: int):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.cuts, self.status = body, list(cuts), status
        self.ranges, self.length = ranges, length
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/text.txt"


class Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else None
        if start is not None and start >= len(server.body):
            self.send_error(416)
            return
        body = server.body[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0) if server.cuts else None])

    def log_message(self, format, *args):
        """Keep the test output clean."""


@pytest.fixture
def serve():
    """Starts a FileServer, which is stopped at the end of the test."""
    with contextlib.ExitStack() as stack:

        def start(body: bytes, cuts=(), *, ranges=True, length=True, status=200) -> FileServer:
            server = stack.enter_context(FileServer(body, cuts, ranges, length, status))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start
