"""How long one training step takes on this machine: measured, in some seconds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cordlesion.config import StudyConfig
from cordlesion.losses import make_loss
from cordlesion.model.hardware import Hardware, channels_last, choose_hardware
from cordlesion.model.networks import make_network
from cordlesion.training.module import LesionModule

_CAP_S = 10.0
"""Where the steps of whole batches would take longer than this, one patch is measured instead."""
_LESION_VOXELS = 6
"""Edge of the lesion in every other patch: some losses look at each lesion."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of the smallest parts of a study on this machine."""

    step_s: Mapping[str, float]
    """One training step with a whole batch, by title of the loss."""
    patch_s: float
    """The network's output for one patch, without learning."""
    device: str
    """What was measured, for messages."""
    from_one_patch: bool
    """Whether the time of a batch was extrapolated from that of one patch."""


def measure_steps(config: StudyConfig, cap_s: float = _CAP_S) -> StepTime:
    """Time one training step of a study's network for each of its losses, and the output of a patch.

    Args:
        config: The study; its first training is measured, with random patches.
        cap_s: About how many seconds the batches may take.

    Raises:
        CordlesionError: The network or a loss cannot be made.
    """
    run, batch = config.runs[0], config.training.batch_size
    hardware = choose_hardware().at(config.training.precision)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = channels_last(make_network(run.network, run.code)).to(hardware.device)
        patches = torch.randn((batch, 1, *run.patches.shape(run.preprocess)), device=hardware.device)
    learn = _learning_step(network, LesionModule(network, _mean, run.optimization).configure_optimizers(), hardware)
    _timed(lambda: learn(patches[:1]), hardware)  # the first call prepares kernels
    one_s = min(_timed(lambda: learn(patches[:1]), hardware) for _ in range(2))
    is_slow = 3 * batch * one_s > cap_s
    used = patches[:1] if is_slow else patches
    learn_s = batch * one_s if is_slow else min(_timed(lambda: learn(used), hardware) for _ in range(2))
    losses = {loss.title: make_loss(loss.name, loss.parameters, config.code) for loss in config.losses}
    loss_s = {title: _timed(_loss_step(loss, used), hardware) * batch / len(used) for title, loss in losses.items()}
    step_s = {title: learn_s + seconds for title, seconds in loss_s.items()}
    patch_s = min(_timed(_output(network, used, hardware), hardware) for _ in range(2)) / len(used)
    return StepTime(step_s, patch_s, hardware.describe(), is_slow)


def _mean(logits: Tensor, _lesion: Tensor) -> Tensor:
    return logits.mean()


def _learning_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, hardware: Hardware
) -> Callable[[Tensor], None]:
    """Return a function that learns from patches with the cheapest loss; the losses are timed apart."""

    def learn(patches: Tensor) -> None:
        network.train()
        with hardware.autocast():
            logits = network(hardware.place(patches))
        torch.autograd.backward(logits.float().square().mean())
        optimizer.step()
        optimizer.zero_grad()

    return learn


def _loss_step(loss: Callable[[Tensor, Tensor], Tensor], patches: Tensor) -> Callable[[], None]:
    """Return a function that computes a loss and its gradient by the logits."""
    lesion = torch.zeros_like(patches)
    lesion[::2, :, :_LESION_VOXELS, :_LESION_VOXELS, :_LESION_VOXELS] = 1

    def step() -> None:
        torch.autograd.backward(loss(patches.clone().requires_grad_(), lesion))

    return step


def _output(network: nn.Module, patches: Tensor, hardware: Hardware) -> Callable[[], None]:
    def predict() -> None:
        network.eval()
        with torch.inference_mode(), hardware.autocast():
            network(hardware.place(patches))

    return predict


def _timed(work: Callable[[], None], hardware: Hardware) -> float:
    """Return the seconds of some work, until the device has done it."""
    _wait(hardware)
    start = time.perf_counter()
    work()
    _wait(hardware)
    return time.perf_counter() - start


def _wait(hardware: Hardware) -> None:
    if hardware.device.type == "cuda":
        torch.cuda.synchronize(hardware.device)
