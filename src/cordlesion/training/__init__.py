"""Training: the only folder that imports Lightning."""

from cordlesion.training.curves import require_logger as require_logger
from cordlesion.training.fit import TrainedNetwork as TrainedNetwork
from cordlesion.training.fit import fit as fit
from cordlesion.training.nodes import this_node as this_node
from cordlesion.training.packed_stacks import PackedStacks as PackedStacks
from cordlesion.training.packed_stacks import TrainingStack as TrainingStack
from cordlesion.training.packed_stacks import pack_stacks as pack_stacks
from cordlesion.training.patch_dataset import patch_loader as patch_loader
from cordlesion.training.run import TrainingSets as TrainingSets
from cordlesion.training.run import load_training_sets as load_training_sets
from cordlesion.training.run import remove_checkpoints as remove_checkpoints
from cordlesion.training.run import require_same_code as require_same_code
from cordlesion.training.run import train_run as train_run
