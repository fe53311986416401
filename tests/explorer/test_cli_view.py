import signal
import subprocess
import sys
import urllib.request
import webbrowser
from pathlib import Path

import pytest

from cordlesion.cli_view import view
from cordlesion.explorer.server import ExplorerServer


def test_view_serves_until_it_is_stopped(study: Path) -> None:
    command = [sys.executable, "-m", "cordlesion", "view", study, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        address, _, hint = running.stdout.readline().partition(" ")
        with urllib.request.urlopen(f"{address}data/study.js") as answer:
            assert answer.read().startswith(b'cordlesion.receive("study"')
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 0
        assert running.stderr.read() == ""
    assert "Ctrl+C" in hint


def test_view_opens_the_browser(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(ExplorerServer, "serve_forever", lambda self: opened.append(self.address))
    view(study)
    assert len(opened) == 2
    assert opened[0] == opened[1]


def test_a_folder_without_a_study_is_told_in_a_sentence(cli, tmp_path: Path) -> None:
    done = cli("view", tmp_path)
    assert done.status == 2
    assert "study.yaml" in done.error or "splits.tsv" in done.error
