"""The blocks of a page of the guide, and what runs them as a reader would."""

import os
import re
import shlex
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
BLOCK = re.compile(
    r"^<!-- test(?P<instead> instead)?(?: \([^)]*\))?: (?P<command>.*?) -->$"
    r"|^```(?P<language>\w+)\n(?P<code>.*?)^```$"
    r'|^``` \{ \.\w+ title="(?P<file>[^"]+)" \}\n(?P<content>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
BASH = ["bash", "-euo", "pipefail", "-c"]


def run_blocks(page, run):
    """Run each block of a page by the function of its language, and the commands in comments by that of bash.

    A block with a file's name as its title goes to ``run["file"]``, with the name.
    """
    instead = None
    for block in BLOCK.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8")):
        if block["instead"]:
            instead = block["command"]
        elif block["command"]:
            run["bash"](block["command"])
        elif block["file"]:
            run["file"](block["file"], block["content"])
        else:
            run[block["language"]](instead or block["code"])
            instead = None


class Shell:
    """Bash, but for our own command, which is run in this process: it has imported torch already."""

    def __init__(self, cli):
        self.cli = cli

    def run(self, code):
        for line in code.replace("\\\n", " ").splitlines():
            command, operator, rest = re.fullmatch(r"(.*?)(?:\s([|>])\s(.*))?", line).groups()
            if not command.startswith("cordlesion "):
                subprocess.run([*BASH, line], env=os.environ | {"REPOSITORY": str(REPOSITORY)}, check=True)
                continue
            ended = self.cli(*shlex.split(command, comments=True)[1:])
            assert ended.status == 0, f"{line}\n{ended.output}\n{ended.error}"
            if operator:
                subprocess.run([*BASH, f"cat {operator} {rest}"], input=ended.output, text=True, check=True)


class Python:
    """One interpreter for the blocks of a page."""

    def __init__(self):
        self.names = {}

    def run(self, code):
        exec(compile(code, "block", "exec"), self.names)
