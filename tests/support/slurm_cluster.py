"""A SLURM of two nodes, both this machine, for as long as a test needs it: no accounting, its files in one folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
# A requeued job waits for cred_expire seconds (5 is the least) before it starts again.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=2
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = """\
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory={memory_mb} State=UNKNOWN
"""


def why_not() -> str:
    """Return why no SLURM can be started here; nothing where it can."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=_search_path())]:
        return f"{', '.join(missing)} absent: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "slurmd starts jobs as root only"


@contextlib.contextmanager
def slurm() -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd; yields the variables by which its commands find it, and stops them."""
    # Beside pytest's own folders, whose names are too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    host = socket.gethostname().split(".")[0]
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    # The first one bears the machine's own name, because by it the others find it.
    nodes = [host, f"{host}-2"]
    for name in ("state", *(f"spool-{node}" for node in nodes)):
        (folder / name).mkdir()
    configuration = folder / "slurm.conf"
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**21  # half of it
    port, *ports = _free_ports(1 + len(nodes))
    lines = [CONFIGURATION.format(host=host, folder=folder, port=port)]
    lines += [NODE.format(name=n, host=host, port=p, memory_mb=memory_mb) for n, p in zip(nodes, ports, strict=True)]
    configuration.write_text("".join(lines))
    variables = {"SLURM_CONF": str(configuration)}
    daemons = []
    try:
        for command in (
            ["munged", "--foreground", "--force", *_munge_files(folder)],
            ["slurmctld", "-D", "-c"],
            *(["slurmd", "-D", "-N", node] for node in nodes),
        ):
            daemons.append(_start(command, variables, folder))
            if command[0] == "munged":
                _wait(lambda: (folder / "munge.socket").exists(), folder)
        _wait(lambda: _states(variables) == ["idle"] * len(nodes), folder)
        yield variables
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: list[str], variables: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    program = shutil.which(command[0], path=_search_path())
    with (folder / f"{command[0]}.out").open("ab") as log:
        return subprocess.Popen([program, *command[1:]], env=os.environ | variables, stdout=log, stderr=log)


def _munge_files(folder: Path) -> list[str]:
    names = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid", "log-file": "munge.log"}
    return [f"--{option}={folder / name}" for option, name in {**names, "seed-file": "munge.seed"}.items()]


def _states(variables: dict[str, str]) -> list[str]:
    asked = subprocess.run(
        ["sinfo", "-h", "-N", "-o", "%t"], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return asked.stdout.split()


def _wait(ready, folder: Path, seconds: float = 30) -> None:
    start = time.monotonic()
    while not ready():
        if time.monotonic() - start > seconds:
            logs = {
                path.name: path.read_text(errors="replace")[-1500:] for path in folder.glob("*.*") if path.is_file()
            }
            raise TimeoutError(f"SLURM did not start: {logs}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
