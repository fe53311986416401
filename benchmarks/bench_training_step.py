"""One training step, batch of 8 patches of 48 x 48 x 48: ours, and what each of its two choices is worth.

The others are plain PyTorch: the same network, loss and optimiser without the precision or the memory format of ours.

python benchmarks/bench_training_step.py [rounds]
"""

import contextlib
import sys
from collections.abc import Callable

import torch
from _timing import alternate, header, report

from cordlesion.losses import LOSSES
from cordlesion.model.hardware import choose_hardware
from cordlesion.model.unet3d import UNet3d

BATCH, SIZE = 8, 48
PLAIN = "plain PyTorch (float32, default layout)"


def make_step(half_precision: bool, channels_last: bool) -> Callable[[], object]:
    """Return a step (forward, Tversky loss, backward, Adam) on a network and a batch of its own."""
    device = choose_hardware().device
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network = UNet3d().to(device, memory_format=layout)
    patches = torch.randn(BATCH, 1, SIZE, SIZE, SIZE, device=device).contiguous(memory_format=layout)
    lesion = (torch.rand(patches.shape, device=device) < 0.01).float()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        autocast = torch.autocast(device.type, dtype=torch.bfloat16) if half_precision else contextlib.nullcontext()
        with autocast:
            loss = LOSSES["tversky"](network(patches), lesion)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def main() -> None:
    """Time the four combinations; ours is what ``choose_hardware`` picks on this machine."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    hardware = choose_hardware()
    ours = f"cordlesion ({hardware.precision}, channels last)"
    candidates = {ours: make_step(hardware.half_precision, True), PLAIN: make_step(False, False)}
    if hardware.half_precision:
        candidates["bfloat16, default layout"] = make_step(True, False)
        candidates["float32, channels last"] = make_step(False, True)
    print(header(["cordlesion", "torch"]))
    print(f"batch {BATCH} x {SIZE}^3, U-Net 16, 32, 64, {hardware.describe()}, median of {rounds} rounds")
    print(report(alternate(candidates, rounds), ours))


if __name__ == "__main__":
    main()
