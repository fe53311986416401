"""A SLURM of one node, this machine, for as long as a test needs it: no accounting, its files in one folder."""

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
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
# A requeued job waits for cred_expire seconds (5 is the least) before it starts again.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
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
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} RealMemory={memory_mb} State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Return why no SLURM can be started here; nothing where it can."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=_search_path())]:
        return f"{', '.join(missing)} absent: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "slurmd starts jobs as root only"


@contextlib.contextmanager
def slurm(processors: int = 2) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd; yields the variables by which its commands find it, and stops them."""
    # Beside pytest's own folders, whose names are too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    host = socket.gethostname().split(".")[0]
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    configuration = folder / "slurm.conf"
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**21  # half of it
    text = CONFIGURATION.format(
        host=host, folder=folder, ports=_free_ports(2), processors=processors, memory_mb=memory_mb
    )
    configuration.write_text(text)
    variables = {"SLURM_CONF": str(configuration)}
    daemons = []
    try:
        for command in (
            ["munged", "--foreground", "--force", *_munge_files(folder)],
            ["slurmctld", "-D", "-c"],
            ["slurmd", "-D", "-N", host],
        ):
            daemons.append(_start(command, variables, folder))
            if command[0] == "munged":
                _wait(lambda: (folder / "munge.socket").exists(), folder)
        _wait(lambda: _state(variables).startswith("idle"), folder)
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
    with (folder / f"{command[0]}.out").open("wb") as log:
        return subprocess.Popen([program, *command[1:]], env=os.environ | variables, stdout=log, stderr=log)


def _munge_files(folder: Path) -> list[str]:
    names = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid", "log-file": "munge.log"}
    return [f"--{option}={folder / name}" for option, name in {**names, "seed-file": "munge.seed"}.items()]


def _state(variables: dict[str, str]) -> str:
    asked = subprocess.run(
        ["sinfo", "-h", "-o", "%t"], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


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
