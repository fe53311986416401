"""Small untrained models that are used as SCT's."""

import torch

from cordlesion.sct.bundle import SctBundle, SctCard, SctNetworkConfig
from cordlesion.sct.import_network import VARIANTS
from cordlesion.sct.networks import SctLesionNet
from cordlesion.sct.stack import SCT_CONTRASTS

FILTERS = ((2, 2), (2, 3))


def sct_bundle(variant: str) -> SctBundle:
    """A bundle whose network has random weights and running statistics, for crops of 16 voxels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SctLesionNet(FILTERS)
        network(torch.randn(4, 1, 8, 8, 8))
        torch.nn.init.normal_(network.last.weight, std=3.0)
    constants = SCT_CONTRASTS["t2"].model_copy(update={"crop_voxels": 16})
    prediction, threshold = VARIANTS[variant]
    card = SctCard(
        network=SctNetworkConfig(filters=FILTERS), preprocess=constants, prediction=prediction, threshold=threshold
    )
    return SctBundle(card, network.eval())
