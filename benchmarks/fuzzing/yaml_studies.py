"""Studies in YAML: damaged values, keys and bytes, and what YAML allows beyond them."""

from pathlib import Path

import numpy as np

from fuzzing import mutate, valid
from fuzzing.case import Case

_TEXTS = (
    *("a: &a [*a]", "<<: 3", "<<: [1, {a: 2}]", "name: !foo bar", "name: !!python/name:os.system x", "? [1, 2]\n: 3"),
    *("name: 2026-13-45", "name: 2026-02-30 25:61:61", "seeds: !!set {1, 2}", "name: !!binary aGk=", "--- a\n--- b"),
    *("name: " + "1" * 4301, "a: " + "[" * 400, "a: " + "{a: " * 200, "%YAML 9.9\n---\nname: x", "name: |\n  x\n y"),
    *("name: *none", "name: &a", "name: 'x", "\ttab: 1", "name: 1:99:99", "name: 0o9", "name: 0x" + "f" * 5000),
)


def study(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A damaged study, run up to its split."""
    file, done = _damaged(rng, common, folder)
    return Case(done, ("study", "run", str(file), "--until", "split", "-q"))


def report_of_study(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A damaged study.yaml in a finished study."""
    place = valid.linked(valid.finished_study(common), folder / "study")
    text = (place / "study.yaml").read_text()
    content, done = _damage(rng, text)
    valid.replace(place / "study.yaml", content)
    return Case(done, ("study", "status", str(place)))


def _damaged(rng: np.random.Generator, common: Path, folder: Path) -> tuple[Path, str]:
    text = (valid.cohort(common) / "study.yaml").read_text()
    text = text.replace("dataset: cohort", f"dataset: {valid.cohort(common) / 'cohort'}")
    content, done = _damage(rng, text)
    file = folder / "study.yaml"
    file.write_bytes(content)
    return file, done


def _damage(rng: np.random.Generator, text: str) -> tuple[bytes, str]:
    way = mutate.pick(rng, ("bytes", "line", "text", "value", "value", "value", "bomb"))
    lines = text.splitlines()
    number = int(rng.integers(len(lines)))
    if way == "bytes":
        return mutate.damage_bytes(rng, text.encode())
    if way == "line":
        lines.insert(number, mutate.pick(rng, lines))
    elif way == "text":
        lines.insert(number, mutate.pick(rng, _TEXTS))
    elif way == "bomb":
        lines.append("k0: &k0 [x]")
        each = int(rng.integers(1, 12))
        lines += [f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * each)}]" for n in range(1, int(rng.integers(2, 300)))]
    else:
        from ruamel.yaml import YAML

        tree, done = mutate.damage_tree(rng, YAML(typ="safe").load(text))
        return mutate.as_json(tree), done  # JSON is YAML
    return "\n".join(lines).encode("utf-8", "surrogatepass"), f"{way} at line {number}"


GENERATORS = {"yaml study": study, "yaml finished": report_of_study}
