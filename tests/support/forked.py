"""Programs in processes of their own that need not import torch first: forks of one process that has.

What a program does does not depend on it, but for the time; a test of what is imported starts Python itself.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# Of others, never cordlesion: recipes run a copy of it.
IMPORTED = (
    *("torch", "pandas", "nibabel", "pydantic", "safetensors.torch", "scipy.ndimage", "scipy.stats"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "cyclopts", "rich.progress", "jinja2"),
    *("lightning.pytorch", "pytest"),
)


def run_forked(
    *arguments: object, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run ``python -c CODE ...`` or ``python -m MODULE ...``, as :func:`subprocess.run` would."""
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place, name) for name in ("out", "error")]
        names = dict(variables or os.environ)
        line = {"arguments": [*map(str, arguments)], "folder": str(folder or Path.cwd()), "variables": names}
        server = _server()
        print(json.dumps(line | {"outputs": [*map(str, outputs)]}), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(line["arguments"], status, *(path.read_text() for path in outputs))


@cache
def _server() -> "subprocess.Popen[str]":
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)  # It ends when nothing more can come.
    return server


def _serve() -> dict | None:
    """Fork for each line of JSON, and print how the fork ended; returns its line in a fork."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def _become(folder: str, variables: dict[str, str], outputs: list[str]) -> None:
    """Take the folder, the variables and the streams of the process that a fork is to be."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for number, path in enumerate([os.devnull, *outputs]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.path[:1] = ["", *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    importlib.invalidate_caches()


def _run(how: str, what: str, *rest: str) -> None:
    """Run the program and leave as Python would, but without taking what was imported apart, which takes a second."""
    sys.argv = [how, *rest]
    try:
        if how == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            # Without a file, so that processes of the program's own do not run this one.
            sys.modules["__main__"] = module = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), module.__dict__)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    # What a recipe or a test replaces is not to be found here.
    sys.path[1:] = [path for path in sys.path[1:] if path not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    if program := _serve():
        _become(program["folder"], program["variables"], program["outputs"])
        _run(*program["arguments"])
