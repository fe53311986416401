import contextlib
import http.client
import socket
import struct
import threading
import time

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.explorer.server import HOST, ExplorerServer, serve, usual_port


def ask(server: ExplorerServer, path: str, method: str = "GET", host: str | None = None) -> http.client.HTTPResponse:
    """Send a path unchanged; clients like urllib would normalise it."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"{HOST}:{server.server_port}")
    connection.endheaders()
    return connection.getresponse()


def below(server: ExplorerServer, path: str) -> str:
    return f"/{server.key}/{path}"


def test_only_this_machine_can_reach_it(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.key}/"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html"),
        ("index.html", "text/html"),
        ("assets/explorer.css", "text/css"),
        ("assets/app.js", "text/javascript"),
        ("assets/niivue/niivue-LICENSE.txt", "text/plain"),
        ("data/study.js", "text/javascript"),
        ("data/s0000/scan.js", "text/javascript"),
        ("data/s0000/m01.js?again", "text/javascript"),
    ],
)
def test_files_have_security_headers(server, path, kind):
    answer = ask(server, below(server, path))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert len(answer.read()) == int(answer.headers["Content-Length"]) > 100
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http" not in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "Python" not in answer.headers["Server"]
    assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    "path",
    [
        *("../study.yaml", "../../study.yaml", "assets/../../catalog.py", "assets/../server.py", "./index.html"),
        *("%2e%2e/study.yaml", "..%2fstudy.yaml", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fmanifest.json"),
        *(
            "..\\study.yaml",
            "%5c..%5cstudy.yaml",
            "%00",
            "index.html%00.js",
            "assets/app.js%00",
            "%c0%ae%c0%ae/study.yaml",
        ),
        *("/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "C:/windows/win.ini"),
        *("study.yaml", "manifest.json", "evaluation.tsv", "assets", "assets/", "assets/__init__.py", ".lock"),
        *(
            "data",
            "data/",
            "data/study.js/",
            "data/s0000",
            "data/s0000/scan",
            "data/s0000/other.js",
            "data/s9999/scan.js",
        ),
        *(
            "data/s0000/m99.js",
            "data/s0000/m1.js",
            "data/s00000/scan.js",
            "data/s0000/../study.js",
        ),
    ],
)
def test_no_path_leads_outside(server, path):
    assert ask(server, below(server, path)).status == 404


def test_names_must_match_exactly(site):
    for name in ("data/s٠٠٠٠/scan.js", "data/s0000/scan.js\n", "Data/s0000/scan.js", "index.html ", ""):
        assert site.read(name) is None


@pytest.mark.parametrize("path", ["/", "/index.html", "/data/study.js", "/wrong-key/data/study.js", "/etc/passwd", "*"])
def test_nothing_is_served_without_the_key(server, path):
    answer = ask(server, path)
    assert answer.status == 404
    assert answer.read() == b"not found\n"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1", "", "127.0.0.1.evil.example"]
)
def test_another_host_name_is_rejected(server, host):
    assert ask(server, below(server, "data/study.js"), host=host).status == 403


def test_localhost_is_accepted(server):
    assert ask(server, below(server, ""), host=f"localhost:{server.server_port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_it_is_read_only(server, method):
    assert ask(server, below(server, "data/study.js"), method).status == 501


def test_head_has_no_body(server):
    answer = ask(server, below(server, "data/study.js"), "HEAD")
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) > 100
    assert answer.read() == b""


def test_keys_cannot_be_guessed(server, study):
    with serve(study) as other:
        assert len(other.key) >= 20
        assert other.key != server.key


def test_a_study_has_the_same_port_at_each_start_and_another_one_while_it_is_in_use(study, tmp_path):
    with serve(study, None) as first:
        usual = first.server_port
        assert usual == usual_port(study) < 32_768
        with serve(study, None) as second:
            assert second.server_port not in (0, usual)
    with serve(study, None) as third:
        assert third.server_port == usual
    assert usual_port(tmp_path) != usual


def test_a_port_in_use_is_reported(study):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(CordlesionError, match=r"Port \d+ cannot be used .*--port"):
            serve(study, taken.getsockname()[1])


def test_a_folder_without_a_finished_study_is_reported(tmp_path):
    with pytest.raises(CordlesionError, match=r"no such folder; a study folder is needed"):
        serve(tmp_path / "nothing")


def test_an_error_is_reported_on_the_page(server, monkeypatch):
    def fail(name: str) -> bytes:
        raise CordlesionError(f"{name}: damaged </script>")

    monkeypatch.setattr(server.site, "read", fail)
    answer = ask(server, below(server, "data/s0000/scan.js"))
    assert answer.status == 200
    assert (
        answer.read()
        == b'cordlesion.receive("s0000/scan", {"error":"data/s0000/scan.js: damaged \\u003c/script\\u003e"});\n'
    )


@pytest.fixture
def handled(monkeypatch):
    """Event that is set when the server has finished a request."""
    done = threading.Event()
    shutdown = ExplorerServer.shutdown_request

    def tell(server: ExplorerServer, request: socket.socket) -> None:
        shutdown(server, request)
        done.set()

    monkeypatch.setattr(ExplorerServer, "shutdown_request", tell)
    return done


def test_a_closed_connection_is_no_error(server, handled, monkeypatch, capsys):
    read, gone = server.site.read, threading.Event()

    def wait(name: str) -> bytes | None:
        gone.wait(20)
        return read(name)

    monkeypatch.setattr(server.site, "read", wait)
    with socket.create_connection((HOST, server.server_port)) as connection:
        path = below(server, "assets/niivue/niivue-0.69.0.umd.js")
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {HOST}:{server.server_port}\r\n\r\n".encode())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed at once
    gone.set()
    assert handled.wait(20)
    assert capsys.readouterr().err == ""


def test_other_errors_are_reported(server, handled, monkeypatch, capsys):
    monkeypatch.setattr(server.site, "read", lambda _: 1 / 0)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, below(server, "data/study.js"))
    assert handled.wait(20)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_too_many_connections_are_closed_at_once_until_others_end(study, monkeypatch):
    monkeypatch.setattr(ExplorerServer, "max_connections", 2)
    # A server of its own: connections of this test end after it, and release what this server counted.
    with serve(study) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        idle = [socket.create_connection((HOST, server.server_port), timeout=20) for _ in range(2)]
        third = socket.create_connection((HOST, server.server_port), timeout=20)
        with contextlib.suppress(ConnectionError):
            assert third.recv(1) == b""
        for one in (*idle, third):
            one.close()
        answered = _is_answered_within(server, seconds=20)
        server.shutdown()
    assert answered, "the connections are not released"


def _is_answered_within(server: ExplorerServer, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError):
            return ask(server, below(server, "")).status == 200
    return False


def test_an_unreadable_file_is_reported_on_the_page(server, monkeypatch):
    def refuse(_name: str) -> bytes:
        raise PermissionError(13, "Permission denied", "/there/map.nii.gz")

    monkeypatch.setattr(server.site, "read", refuse)
    assert (
        b"/there/map.nii.gz: cannot be read (Permission denied)" in ask(server, below(server, "data/study.js")).read()
    )
