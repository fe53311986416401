"""The local server of the explorer: loopback only, read-only, only the files of one study."""

import hashlib
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cordlesion.errors import CordlesionError
from cordlesion.explorer.site import INDEX, Site
from cordlesion.io.reading import cannot_read

HOST = "127.0.0.1"
# Below the ports that Linux, macOS and Windows give to outgoing connections.
_PORTS = range(20_000, 32_768)
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
# NiiVue needs images of the type "data:" for its fonts.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Other sites that are open in the browser must not load the data as a script.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ExplorerServer(ThreadingHTTPServer):
    """Serves one study on the loopback interface."""

    daemon_threads = True
    max_connections = 64
    """Number of simultaneous connections; a browser opens six. Others are closed at once, without a thread."""

    def __init__(self, site: Site, port: int = 0) -> None:
        """Start to listen.

        Args:
            site: Files to serve.
            port: Port; 0 means any free port.

        Raises:
            CordlesionError: The port is in use or not permitted.
        """
        self.site = site
        self._free_connections = threading.BoundedSemaphore(self.max_connections)
        self.key = secrets.token_urlsafe(16)
        """Part of the address, so that other users of this machine cannot guess the address."""
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise CordlesionError(
                f"Port {port} cannot be used ({error}). Omit --port or choose another port."
            ) from error

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401, ARG002
        """Accept a connection unless there are too many; see the base class."""
        return self._free_connections.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer in a new thread; release the connection if the thread cannot start."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free_connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer, then release the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the base class
        """Print the error, unless the browser closed the connection (page closed or reloaded)."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Address to open in a browser."""
        return f"http://{HOST}:{self.server_port}/{self.key}/"


def serve(study_folder: Path, port: int | None = 0) -> ExplorerServer:
    """Return a server for the explorer of a finished study, ready to ``serve_forever``.

    Args:
        study_folder: Folder of the study.
        port: Port; 0 means any free port, None the usual port of this study, or any free one where it is in use.

    Raises:
        CordlesionError: The folder contains no finished study, or the port cannot be used.
    """
    site = Site(study_folder, absolute_paths=True)
    if port is not None:
        return ExplorerServer(site, port)
    try:
        return ExplorerServer(site, usual_port(study_folder))
    except CordlesionError:
        return ExplorerServer(site)


def usual_port(study_folder: Path) -> int:
    """Return the usual port of a study; a browser keeps notes by port, so it must be the same at each start."""
    digest = hashlib.sha256(str(Path(study_folder).resolve()).encode()).digest()
    return _PORTS[int.from_bytes(digest[:4], "big") % len(_PORTS)]


class _Handler(BaseHTTPRequestHandler):
    server: ExplorerServer
    server_version, sys_version = "cordlesion", ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name in the base class
        """Log nothing; errors are shown on the page."""

    def _answer(self, *, with_body: bool) -> None:
        status, kind, body = self._find()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _find(self) -> tuple[HTTPStatus, str, bytes]:
        # Protection against DNS rebinding: the header contains the host name that the browser used.
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}:
            return HTTPStatus.FORBIDDEN, "text/plain", b"unknown host\n"
        name = self._name()
        if name is None:
            return HTTPStatus.NOT_FOUND, "text/plain", b"not found\n"
        try:
            body = self.server.site.read(name)
        except CordlesionError as error:
            body = self.server.site.fault(name, error)
        except OSError as error:
            body = self.server.site.fault(name, cannot_read(error.filename or name, error, "a file of the study"))
        if body is None:
            return HTTPStatus.NOT_FOUND, "text/plain", b"not found\n"
        return HTTPStatus.OK, _TYPES[Path(name).suffix], body

    def _name(self) -> str | None:
        """Return the name of the requested file: the path after the key, not decoded."""
        path = self.path.partition("?")[0]
        start = f"/{self.server.key}/"
        if not secrets.compare_digest(path[: len(start)].encode(), start.encode()):
            return None
        return path[len(start) :] or INDEX
