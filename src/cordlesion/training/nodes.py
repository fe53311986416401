"""Machines of a cluster that train one network together."""

from dataclasses import dataclass

from cordlesion.errors import CordlesionError


@dataclass(frozen=True)
class Node:
    """One of the machines that train a network together."""

    number: int = 0
    count: int = 1
    address: str = "127.0.0.1"
    """Of the first machine."""
    port: int = 0
    """Of the first machine, at which the others connect; 0 where there are no others."""

    @property
    def is_first(self) -> bool:
        """Whether it is the machine that writes checkpoint, model and done-marker."""
        return self.number == 0


ALONE = Node()


def this_node(count: int) -> Node:
    """Return which of the nodes of a training this is, from the environment of a SLURM job with one task on each node.

    Args:
        count: How many nodes there must be; for one, the environment is not read.

    Raises:
        CordlesionError: This is no job, or a job with another number of tasks.
    """
    if count == 1:
        return ALONE
    from submitit.helpers import TorchDistributedEnvironment

    try:
        environment = TorchDistributedEnvironment()
    except RuntimeError as error:
        raise CordlesionError(
            f"`cluster.nodes` asks for {count} machines per training, and this is no job of SLURM. Use --executor "
            "slurm, or leave it out."
        ) from error
    if environment.world_size != count:
        raise CordlesionError(
            f"`cluster.nodes` asks for {count} machines per training, but this job has {environment.world_size} tasks. "
            "Remove the option that changes the number of tasks from `cluster.options`."
        )
    return Node(environment.rank, count, environment.master_addr, environment.master_port)
