"""Weights and stacks in safetensors."""

import json
from pathlib import Path

import numpy as np

from fuzzing import mutate, valid
from fuzzing.case import Case


def weights(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A model with damaged weights."""
    place = valid.linked(valid.bundle(common), folder / "bundle")
    content, done = _damaged(rng, (place / "model.safetensors").read_bytes())
    valid.replace(place / "model.safetensors", content)
    card = json.loads((place / "model.json").read_text())
    if rng.random() < 0.9:  # a card of before there was a hash
        del card["weights_sha256"]
    valid.replace(place / "model.json", json.dumps(card).encode())
    scan, cord = valid.scan(common)
    return Case(done, ("segment", str(scan), "-m", str(place), "-o", str(folder / "out"), "--cord-mask", str(cord),
                       "--no-pictures", "-q"))  # fmt: skip


def stack(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A damaged stack, read."""
    content, done = _damaged(rng, (common / "a_stack.safetensors").read_bytes())
    path = valid.replace(folder / "sub-01.safetensors", content)
    reader = mutate.pick(rng, ("read_stack", "read_stack_shape"))
    return Case(done, (str(path),), f"cordlesion.preprocess.stack_file:{reader}")


def _damaged(rng: np.random.Generator, content: bytes) -> tuple[bytes, str]:
    """Damage the header's entries, the values, or the bytes."""
    way = mutate.pick(rng, ("bytes", "header", "values"))
    size = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    if way == "bytes":
        return mutate.damage_bytes(rng, content)
    if way == "header":
        if "__metadata__" in header and "geometry" in header["__metadata__"] and rng.random() < 0.6:
            place, done = mutate.damage_tree(rng, json.loads(header["__metadata__"]["geometry"]))
            header["__metadata__"]["geometry"] = mutate.as_json(place).decode("utf-8", "replace")
        else:
            header, done = mutate.damage_tree(rng, header)
        text = mutate.as_json(header)
        return len(text).to_bytes(8, "little") + text + body, done
    values = np.frombuffer(body[: len(body) // 4 * 4], "f4").copy()
    fill = mutate.pick(rng, (np.nan, np.inf, 1e38, -1e38, 0, 1e-45))
    start = int(rng.integers(len(values)))
    values[start : start + int(rng.integers(1, 200))] = fill
    return content[: 8 + size] + values.tobytes() + body[len(values) * 4 :], f"values {fill}"


def prepare(common: Path) -> None:
    """Write a model and a stack."""
    from cordlesion.config import PreprocessConfig
    from cordlesion.dataset.bids import find_scans
    from cordlesion.preprocess.stack_file import make_stack, write_stack

    valid.bundle(common)
    scan = find_scans(valid.cohort(common) / "cohort")[0][0]
    write_stack(
        common / "a_stack.safetensors", make_stack(scan, PreprocessConfig(crop_voxels=16, centerline="file"), None)
    )


GENERATORS = {"safetensors weights": weights, "safetensors stack": stack}
