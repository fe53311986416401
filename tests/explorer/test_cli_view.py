import signal
import subprocess
import sys
import urllib.request
import webbrowser
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from cordlesion.cli.view import view, write_redirect
from cordlesion.explorer.server import ExplorerServer


def test_view_serves_until_it_is_stopped(study: Path) -> None:
    command = [sys.executable, "-m", "cordlesion", "view", study, "--no-browser"]
    # Background processes of a shell ignore Ctrl+C, and so would their children.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    try:
        assert running.stdout is not None
        address, _, hint = running.stdout.readline().partition(" ")
        with urllib.request.urlopen(f"{address}data/study.js", timeout=60) as answer:
            assert answer.read().startswith(b'cordlesion.receive("study"')
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0
    assert complaints == ""
    assert "Ctrl+C" in hint


def test_the_browser_is_started_without_the_key(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All users of a machine can read command lines."""
    opened: list[Path] = []

    def look(server: ExplorerServer) -> None:
        (page,) = opened
        assert server.key not in str(page)
        assert page.stat().st_mode & 0o777 == 0o600
        assert page.parent.stat().st_mode & 0o777 == 0o700
        assert server.address in page.read_text()
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", lambda uri: opened.append(Path(uri.removeprefix("file://"))))
    monkeypatch.setattr(ExplorerServer, "serve_forever", look)
    view(study)
    assert not opened[0].parent.exists()


def test_the_opened_page_redirects_to_the_explorer(browser: Browser, server: ExplorerServer, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(write_redirect(tmp_path, server.address).as_uri())
    page.wait_for_url(f"{server.address}**", wait_until="commit")
    page.close()


def test_a_folder_without_a_study_raises_a_clear_error(cli, tmp_path: Path) -> None:
    done = cli("view", tmp_path)
    assert done.status == 2
    assert "study.yaml" in done.error or "splits.tsv" in done.error
