"""A batch that lies in several processes, each with a part of it: sums and losses are those of the whole.

The gradient that a process holds is that of its own part; Lightning's strategy averages those of the weights over the
processes. Without other processes every function gives its argument back.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def n_processes() -> int:
    """Return how many processes share the batch."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def whole_batch(part: Tensor) -> Tensor:
    """Return the batch of which every process has a part, in the order of the processes.

    Args:
        part: Float32, shape (B', ...); B' may differ between processes, and be 0.

    Returns:
        Shape (B, ...). Every process computes the same loss from it, of which the gradient of its own part is needed.
    """
    gathered: Tensor = part if n_processes() == 1 else _Gather.apply(part)  # type: ignore[no-untyped-call]
    return gathered


def agreed(value: float) -> float:
    """Return the mean over the processes, so that none decides otherwise than another because of rounding."""
    if n_processes() == 1:
        return value
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total) / n_processes()


class SharedBatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation over the whole batch; torch's own, ``SyncBatchNorm``, refuses to run on a CPU."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalise features (B', C, X, Y, Z)."""
        if not self.training:
            return super().forward(features)
        wide = features.float()
        per_channel = (0, 2, 3, 4)
        size = wide.new_tensor([wide.numel() / self.num_features])
        sums = _sum(torch.cat([wide.sum(per_channel), size]))
        count = sums[-1]
        mean = sums[:-1] / count
        centered = wide - _along_channels(mean)
        variance = _sum(centered.square().sum(per_channel)) / count
        self._follow(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centered * _along_channels(scale) + _along_channels(self.bias)).to(features.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, which prediction uses."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def share_normalizations(network: nn.Module) -> None:
    """Let every batch normalisation of an untrained network see the whole batch."""
    for block in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for k, layer in enumerate(block):
            if isinstance(layer, nn.BatchNorm3d):
                block[k] = SharedBatchNorm3d(layer.num_features, layer.eps, layer.momentum)


class _Sum(torch.autograd.Function):
    """Sum over the processes: what one adds to it, all of them feel."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return _summed(values)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return _summed(gradients[0])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        sizes = [int(size) for size in _gathered(torch.tensor([len(part)], device=part.device))]
        padded = part.new_zeros((max(sizes), *part.shape[1:]))
        padded[: len(part)] = part
        first = sum(sizes[: dist.get_rank()])
        ctx.own = slice(first, first + len(part))
        return torch.cat([values[:size] for values, size in zip(_gathered(padded), sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        # Times the processes, over which the gradients of the weights are averaged where they are to be summed.
        return gradients[0][ctx.own] * n_processes()


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def _summed(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def _gathered(values: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(values) for _ in range(n_processes())]
    dist.all_gather(parts, values)
    return parts


def _along_channels(values: Tensor) -> Tensor:
    return values[:, None, None, None]
