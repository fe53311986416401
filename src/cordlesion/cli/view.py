"""The command that shows a study in the browser."""

import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


def view(
    study_dir: Path,
    *,
    port: Annotated[int | None, Parameter(validator=Number(gte=0, lte=65535))] = None,
    browser: bool = True,
) -> None:
    """Look at a finished study in the browser: every scan, two models side by side, at any threshold.

    Nothing leaves this machine, and nothing of the study is changed. Ctrl+C ends it.

    Args:
        study_dir: Folder of the study.
        port: Port on this machine; by default the same one at each start, so that the browser keeps the notes of the
            study. 0 means any free port.
        browser: Open the browser; without it only the address is printed.
    """
    from cordlesion.explorer.server import serve

    with serve(study_dir, port) as server, TemporaryDirectory(prefix="cordlesion-") as private:
        print(f"{server.address}  (Ctrl+C ends it)", flush=True)
        if browser:
            webbrowser.open(write_redirect(Path(private), server.address).as_uri())
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def write_redirect(folder: Path, address: str) -> Path:
    """Write a page that only its owner can read and that leads to ``address``.

    Everyone on a machine can read command lines, and so what a browser is started with; the key must not be there.
    """
    page = folder / "explorer.html"
    page.touch(mode=0o600)
    page.write_text(
        f'<!DOCTYPE html>\n<meta charset="utf-8">\n<meta http-equiv="refresh" content="0; url={address}">\n'
        f'<title>Explorer</title>\n<p><a href="{address}">Go on to the explorer</a></p>\n'
    )
    return page
