"""Drives Debian's Firefox without a package: the Marionette protocol is JSON over a local connection."""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PATIENCE_S = 120


class Firefox:
    """A page in Firefox without a window."""

    def __init__(self, port: int) -> None:
        """Connect to a browser that is starting."""
        self._connection = _connect(port)
        self._number = 0
        self._receive()  # its greeting
        self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"timeouts": {"script": 300_000}}}})

    def command(self, name: str, parameters: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return the value that a command gives.

        Raises:
            RuntimeError: The browser reports an error.
        """
        self._number += 1
        message = json.dumps([0, self._number, name, parameters])
        self._connection.sendall(f"{len(message.encode())}:{message}".encode())
        _, _, error, value = self._receive()
        if error:
            raise RuntimeError(f"{name}: {error['message']}")
        return value

    def open(self, address: str, width: int, height: int) -> None:
        """Open a page in a window of a given size."""
        self.command("WebDriver:SetWindowRect", {"width": width, "height": height})
        self.command("WebDriver:Navigate", {"url": address})

    def evaluate(self, script: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Return what a function of JavaScript, which may return a promise, resolves to."""
        wrapped = f"const done = arguments[arguments.length - 1]; Promise.resolve(({script})(...arguments)).then(done)"
        return self.command("WebDriver:ExecuteAsyncScript", {"script": wrapped, "args": list(arguments)})["value"]

    def wait_for(self, selector: str) -> None:
        """Wait until the page has an element."""
        end = time.monotonic() + _PATIENCE_S
        while not self.evaluate("(selector) => Boolean(document.querySelector(selector))", selector):
            if time.monotonic() > end:
                raise RuntimeError(f"{selector}: did not appear in {_PATIENCE_S} s")
            time.sleep(0.2)

    def _receive(self) -> Any:  # noqa: ANN401
        length = b""
        while (byte := self._connection.recv(1)) != b":":
            if not byte:
                raise RuntimeError("Firefox closed the connection.")
            length += byte
        content = b""
        while len(content) < int(length):
            content += self._connection.recv(int(length) - len(content))
        return json.loads(content)


@contextlib.contextmanager
def firefox() -> Iterator[Firefox]:
    """Start Firefox with an empty profile; it ends with the block.

    Raises:
        FileNotFoundError: There is no Firefox.
    """
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if not program:
        raise FileNotFoundError("firefox")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as profile:
        settings = {"marionette.port": port, "webgl.force-enabled": True, "app.normandy.enabled": False}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        command = [program, "--headless", "--no-remote", "--marionette", "--profile", profile]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield Firefox(port)
        finally:
            running.terminate()
            running.wait()


def _connect(port: int) -> socket.socket:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=300)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
