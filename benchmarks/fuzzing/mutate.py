"""Ways to damage a file that was valid."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator

_LONG, _DEEP = "@long@", "@deep@"
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 10**9, 10**18, -(10**9), 0.5, 1e-300, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "x", "0", "n/a", "nan", "1e999", "x" * 5000, "a\tb\nc", "\0"),
    *("\ud800", "\u202e", "=cmd|' /C calc'!A0", "../../etc/passwd", "<script>alert(1)</script>", "/dev/zero", "."),
    *([], {}, [[]], [None], [1, "a"], {"a": 1}, {"": {}}, _LONG, _DEEP),
)
"""Values that nobody expects, for any place in a document."""


def pick(rng: Rng, choices: Any) -> Any:  # noqa: ANN401
    """Return one of the choices, as it is: numpy would make an array of them."""
    choices = list(choices)
    return choices[int(rng.integers(len(choices)))]


def damage_bytes(rng: Rng, content: bytes) -> tuple[bytes, str]:
    """Cut, flip, repeat, remove or fill some bytes; return what was done too."""
    size = max(len(content), 1)
    start = int(rng.integers(size))
    length = int(min(size - start, rng.integers(1, 64)))
    ways: dict[str, Callable[[], bytes]] = {
        "cut": lambda: content[:start],
        "flip": lambda: content[:start] + bytes([content[start] ^ (1 << int(rng.integers(8)))]) + content[start + 1 :],
        "repeat": lambda: content[: start + length] + content[start:],
        "remove": lambda: content[:start] + content[start + length :],
        "fill": lambda: content[:start] + rng.bytes(length) + content[start + length :],
        "zeros": lambda: content[:start] + bytes(length) + content[start + length :],
        "append": lambda: content + rng.bytes(length),
        "empty": lambda: b"",
    }
    way = pick(rng, [*ways, "flip", "fill", "remove"])
    return ways[way](), f"{way} at byte {start}"


def damage_tree(rng: Rng, tree: Any) -> tuple[Any, str]:  # noqa: ANN401
    """Change one to three places of a document: another value, a key less, one more, or the same in a list."""
    tree = copy.deepcopy(tree)
    done = []
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = places[int(rng.integers(len(places)))]
        way = pick(rng, ("value", "value", "value", "delete", "wrap", "rename"))
        if way == "value":
            holder[key] = copy.deepcopy(pick(rng, VALUES))
        elif way == "wrap":
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
        elif way == "delete":
            del holder[key]
        elif isinstance(holder, dict):
            holder[pick(rng, ("surprise", "", "__class__", str(key) + " "))] = holder.pop(key)
        done.append(f"{way} {key}")
    return (tree if rng.random() < 0.97 else pick(rng, VALUES)), ", ".join(done)


def _places(tree: Any) -> Any:  # noqa: ANN401
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        yield tree, key
        yield from _places(tree[key])


def as_json(tree: Any) -> bytes:  # noqa: ANN401
    """Write a document, with numbers of thousands of digits and brackets in brackets where they are marked."""
    text = json.dumps(tree)
    text = text.replace(f'"{_LONG}"', "1" * 5000).replace(f'"{_DEEP}"', "[" * 3000 + "]" * 3000)
    return text.encode("utf-8", "surrogatepass")


def write_json(rng: Rng, path: Path, tree: Any) -> str:  # noqa: ANN401
    """Write a damaged document: its values, or now and then its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if rng.random() < 0.25:
        content, done = damage_bytes(rng, as_json(tree))
    else:
        changed, done = damage_tree(rng, tree)
        content = as_json(changed)
    path.write_bytes(content)
    return done


def damage_table(rng: Rng, text: str) -> tuple[bytes, str]:
    """Change cells, rows or columns of a tab-separated table, or its bytes."""
    rows = [line.split("\t") for line in text.splitlines()]
    ways = ("cell", "column", "row twice", "row less", "column less", "rename", "ragged", "bytes")
    way = pick(rng, ("cell", "cell", *ways))
    r, c = int(rng.integers(len(rows))), int(rng.integers(len(rows[0])))
    value = pick(rng, [v for v in VALUES if isinstance(v, str | int | float) and v not in (_LONG, _DEEP)])
    cell = pick(rng, (str(value), "9" * 5000, "0x1F", "1,5", '"', "True", "2026-02-30"))
    if way == "bytes":
        content, done = damage_bytes(rng, text.encode())
        return content, done
    if way == "cell":
        rows[r][min(c, len(rows[r]) - 1)] = cell
    elif way == "column":
        rows = [rows[0], *([*row[:c], cell, *row[c + 1 :]] for row in rows[1:])]
    elif way == "row twice":
        rows.insert(r, list(rows[r]))
    elif way == "row less":
        rows = [row for n, row in enumerate(rows) if n != r or rng.random() < 0.1]
        rows = rows[: int(rng.integers(1, len(rows) + 1))] if rng.random() < 0.3 and rows else rows
    elif way == "column less":
        rows = [row[:c] + row[c + 1 :] for row in rows]
    elif way == "rename":
        rows[0][c] = pick(rng, ("", "scan_id", "surprise", "seed", "fold"))
    else:
        rows[r] = [*rows[r], cell]
    return "\n".join("\t".join(row) for row in rows).encode("utf-8", "surrogatepass") + b"\n", f"{way} {r},{c}"
