"""A batch that is distributed over several processes: sums and losses are those of the whole batch.

A process holds the gradient of its own part; Lightning's strategy averages the gradients of the weights over the
processes. In a single process every function returns its argument.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Return the number of processes that share the batch."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def all_gather_batch(part: Tensor) -> Tensor:
    """Gather the whole batch from the parts of all processes, in the order of the ranks.

    Args:
        part: Float32, shape (B', ...); B' may differ between processes, and may be 0.

    Returns:
        Shape (B, ...). Every process computes the same loss from it and needs the gradient of its own part.
    """
    gathered: Tensor = part if world_size() == 1 else _AllGather.apply(part)  # type: ignore[no-untyped-call]
    return gathered


def all_reduce_mean(value: float) -> float:
    """Return the mean over the processes, so that all take the same decisions in spite of rounding."""
    if world_size() == 1:
        return value
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total) / world_size()


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
        self._update_statistics(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centered * _along_channels(scale) + _along_channels(self.bias)).to(features.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics, which prediction uses."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def convert_sync_batchnorm(network: nn.Module) -> None:
    """Replace every batch normalisation of a network, in place, by one over the whole batch, with the same weights.

    Only those with learned weights and running statistics, torch's default, are replaced.
    """
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.BatchNorm3d and layer.affine and layer.track_running_stats and layer.momentum:
                shared = SharedBatchNorm3d(layer.num_features, layer.eps, layer.momentum)
                shared.load_state_dict(layer.state_dict())
                setattr(module, name, shared)


class _AllReduce(torch.autograd.Function):
    """Sum over the processes, whose gradient is the sum of theirs; torch's own function is deprecated since 2.13."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return _summed(values)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return _summed(gradients[0])


class _AllGather(torch.autograd.Function):
    """Gather of parts of different sizes; torch's own all_gather needs equal ones, and communicates going back."""

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
        # Times the number of processes, because the gradients of the weights are averaged and should be summed.
        return gradients[0][ctx.own] * world_size()


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _AllReduce.apply(values)  # type: ignore[no-untyped-call]
    return total


def _summed(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def _gathered(values: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(parts, values)
    return parts


def _along_channels(values: Tensor) -> Tensor:
    return values[:, None, None, None]
