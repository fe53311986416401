from pathlib import Path

import pytest

from cordlesion.config import NetworkConfig, builtin_study, read_study, study_yaml
from cordlesion.errors import CordlesionError

STUDY = "name: tiny\ndataset: cohort\noutput: study\nlosses: [bce]\n"
MODULE = "from torch import nn\n\n\nclass MyNet(nn.Module):\n    pass\n"


def written(folder: Path, text: str) -> Path:
    (folder / "my_module.py").write_text(MODULE)
    path = folder / "study.yaml"
    path.write_text(STUDY + text)
    return path


def test_a_study_of_the_u_net_is_written_as_ever():
    study = read_study(builtin_study("isbi2023"))
    dumped = study.model_dump(mode="json")
    assert "code" not in dumped
    assert list(dumped["network"])[:2] == ["filters", "prior"]
    assert "parameters" not in study.runs[0].learned_from["network"]


@pytest.mark.parametrize("network", ["my_module:MyNet", "{name: my_module:MyNet, parameters: {a: 1}}"])
def test_a_network_by_import_path_survives_writing(tmp_path, network):
    study = read_study(written(tmp_path, f"network: {network}\n"))
    assert study.code == tmp_path
    assert study.network.name == "my_module:MyNet"
    assert list(study.model_dump(mode="json")["network"]) == ["name", "parameters"]
    again = tmp_path / "again" / "config.yaml"
    again.parent.mkdir()
    again.write_text(study_yaml(study))
    assert read_study(again) == study


def test_the_folder_of_the_code_can_be_another(tmp_path):
    path = written(tmp_path, "network: my_module:MyNet\ncode: nets\n")
    assert read_study(path).code == tmp_path / "nets"


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        ("my_net", r"network\.name: unet3d or an import path such as my_module:MyNet is needed, found 'my_net'"),
        ("{name: my_module:MyNet, filters: [4, 8]}", r"network\.filters: means nothing to the network my_module:MyNet"),
        ("{parameters: {a: 1}}", r"network\.parameters: means nothing to the network unet3d"),
    ],
)
def test_keys_of_the_other_kind_of_network_are_refused(tmp_path, network, fault):
    with pytest.raises(CordlesionError, match=fault):
        read_study(written(tmp_path, f"network: {network}\n"))


def test_the_source_of_the_network_decides_what_was_trained(tmp_path):
    study = read_study(written(tmp_path, "network: my_module:MyNet\n"))
    before, results = study.runs[0].learned_from, study.decisive
    assert read_study(tmp_path / "study.yaml").runs[0].learned_from == before
    (tmp_path / "my_module.py").write_text(MODULE + "# changed\n")
    assert study.runs[0].learned_from != before
    assert study.decisive != results
    assert NetworkConfig().hashed() == {"filters": [16, 32, 64], "prior": 0.5}
