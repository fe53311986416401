"""Training: the only folder that imports Lightning."""

from cordlesion.training.fit import RunConfig as RunConfig
from cordlesion.training.fit import TrainedNetwork as TrainedNetwork
from cordlesion.training.fit import fit as fit
from cordlesion.training.patch_dataset import TrainingStack as TrainingStack
