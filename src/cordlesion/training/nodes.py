"""Machines of a cluster that train one network together."""

from dataclasses import dataclass

from cordlesion.errors import CordlesionError


@dataclass(frozen=True)
class Node:
    """One of the machines of a training; the first one leads."""

    number: int = 0
    count: int = 1
    address: str = "127.0.0.1"
    """Of the first one."""
    port: int = 0
    """At which the first one is found; 0 where there are no others, who would have to know it."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes checkpoint, model and done-marker."""
        return self.number == 0


ALONE = Node()


def this_node(count: int) -> Node:
    """Return which of the nodes of a training this one is, as SLURM tells a job that has a task on each of them.

    Args:
        count: How many there are to be; of one nothing is asked.

    Raises:
        CordlesionError: This is no job, or one of another number of tasks.
    """
    if count == 1:
        return ALONE
    from submitit.helpers import TorchDistributedEnvironment

    try:
        told = TorchDistributedEnvironment()
    except RuntimeError as error:
        raise CordlesionError(
            f"`cluster.nodes` asks for {count} machines per training, and this is no job of SLURM. Use --executor "
            "slurm, or leave it out."
        ) from error
    if told.world_size != count:
        raise CordlesionError(
            f"`cluster.nodes` asks for {count} machines per training, but this job has {told.world_size} tasks. Remove "
            "from `cluster.options` what changes the number of tasks."
        )
    return Node(told.rank, count, told.master_addr, told.master_port)
