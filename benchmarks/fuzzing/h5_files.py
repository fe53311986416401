"""Networks of SCT in Keras's HDF5."""

import json
from pathlib import Path

import numpy as np

from fuzzing import mutate, valid
from fuzzing.case import Case


def lesion_network(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A damaged lesion network, made into a model."""
    path, done = _damaged(rng, common / "t2_lesion.h5", folder)
    return Case(done, ("model", "import-sct", str(path), str(folder / "out")))


def centerline_network(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """A damaged centerline network, used to find the cord."""
    path, done = _damaged(rng, common / "t2_ctr.h5", folder)
    scan, _ = valid.scan(common)
    return Case(done, ("centerline", str(scan), "--source", str(path), "-o", str(folder / "out" / "c.nii.gz"), "-q"))


def _damaged(rng: np.random.Generator, source: Path, folder: Path) -> tuple[Path, str]:
    import h5py

    path = folder / source.name
    if rng.random() < 0.4:
        content, done = mutate.damage_bytes(rng, source.read_bytes())
        return valid.replace(path, content), done
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "r+") as file:
        if rng.random() < 0.5:
            tree, done = mutate.damage_tree(rng, json.loads(file.attrs["model_config"]))
            file.attrs["model_config"] = np.bytes_(mutate.as_json(tree)[:60_000].replace(b"\0", b""))
        else:
            done = _damage_weights(rng, file)
    return path, done


def _damage_weights(rng: np.random.Generator, file: object) -> str:
    import h5py

    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    name = mutate.pick(rng, names)
    values = file[name][()]
    way = mutate.pick(rng, ("nan", "huge", "type", "shape", "text", "delete", "declared", "group"))
    del file[name]
    if way == "declared":  # chunks that are not stored
        file.create_dataset(name, shape=(10**9, 10), dtype="f4", chunks=(1000, 10))
    elif way == "group":
        file.create_group(name)
    elif way != "delete":
        with np.errstate(all="ignore"):
            made = {"nan": values * np.nan, "huge": values.astype("f8") * 1e300, "type": values.astype("i2"),
                    "shape": values[..., None], "text": np.bytes_("x" * 10)}  # fmt: skip
        file[name] = made[way]
    return f"{way} {name}"


def prepare(common: Path) -> None:
    """Write both networks."""
    valid.cohort(common)
    from support.keras_networks import centerline_layers, lesion_layers, random_weights, write_keras

    for name, layers in (("t2_lesion.h5", lesion_layers()), ("t2_ctr.h5", centerline_layers())):
        write_keras(common / name, layers, random_weights(layers))


GENERATORS = {"h5 lesions": lesion_network, "h5 centerline": centerline_network}
