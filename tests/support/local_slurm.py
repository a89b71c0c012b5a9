"""A real Slurm on this machine, of one node or several, for as long as something uses it.

    python -m tests.support.local_slurm snakemake --workflow-profile profiles/slurm -- results/stage4/report.html

Debian's slurmctld, munged and a slurmd for each node run on the loopback interface, as root and without systemd; each
node has one GPU that no hardware stands behind. The command runs among them; afterwards every daemon is gone, and
/etc/slurm is what it was. Slurm's clients look for their configuration in /etc/slurm only, as the executor plugin drops
`SLURM_CONF`.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

SETTINGS, SAVED = Path("/etc/slurm"), Path("/etc/slurm.saved-by-pillsnap")
DAEMONS = {"slurmctld": "slurmctld", "slurmd": "slurmd", "munged": "munge", "srun": "slurm-client"}
BELIEVED_MB = 64_000
"""Memory of the node for a command: profiles/slurm asks for what stage4 takes in full, the demo uses a tenth of it."""
_TOGETHER = ["setpriv", "--pdeathsig", "TERM"]
"""Before a command: it ends with this process, however that ends."""
_PATIENCE = 30.0

_CONF = """ClusterName=pillsnap
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# memory is watched without cgroups: a step above what it asked for is killed
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=UsePss,OverMemoryKill
AccountingStorageType=accounting_storage/none
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=500 State=UP
"""
_NODE = """NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory_mb} \
Gres=gpu:1 State=UNKNOWN
"""


class ClusterError(Exception):
    """The cluster cannot be set up; the message says why."""


class Cluster:
    """A cluster that runs.

    Attributes:
        folder: with the logs of the controller and, under its name, of each node.
        nodes: each node's daemon.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.nodes: dict[str, subprocess.Popen] = {}
        self._stack = stack

    def start_node(self, name: str) -> None:
        """Start a node's daemon, for the first time or again, and wait until jobs can be sent to it."""
        self.nodes[name] = _daemon(self._stack, self.folder, "slurmd", "-D", "-N", name)
        _wait(lambda: "idle" in _told("sinfo", "--noheader", "--format=%t", f"--nodes={name}"), name, self.folder)


def missing() -> str:
    """Why no cluster can be set up here, empty where it can."""
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root"
    absent = [package for program, package in DAEMONS.items() if not shutil.which(program, path=_path())]
    if absent:
        return f"Debian's packages {', '.join(absent)} are not installed"
    busy = sorted(living() & {"slurmctld", "slurmd"})
    return f"{' and '.join(busy)} of another cluster run here" if busy else ""


def living() -> set[str]:
    """Names of the processes that run here; one that has ended and was not waited for is none."""
    found = psutil.process_iter(["name", "status"])
    return {process.info["name"] for process in found if process.info["status"] != psutil.STATUS_ZOMBIE}


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@contextmanager
def local_slurm(*, cpus: int, memory_mb: int, nodes: Sequence[str] = ("node1",)) -> Iterator[Cluster]:
    """A cluster of nodes with one GPU each.

    Args:
        cpus: of each node, as Slurm believes; may be more than the machine has.
        memory_mb: of each node, likewise.
        nodes: their names.

    Raises:
        ClusterError: something is missing, or a daemon does not come up.
    """
    if reason := missing():
        raise ClusterError(reason)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)
        host, (port, *ports) = socket.gethostname().split(".")[0], _free_ports(1 + len(nodes))
        lines = [_CONF.format(host=host, folder=folder, port=port)]
        for name, of_node in zip(nodes, ports, strict=True):
            lines.append(_NODE.format(name=name, host=host, port=of_node, cpus=cpus, memory_mb=memory_mb))
        stack.enter_context(_settings("".join(lines)))
        (folder / "state").mkdir()
        _start_munge(stack, folder)
        _daemon(stack, folder, "slurmctld", "-D", "-c")
        cluster = Cluster(folder, stack)
        for name in nodes:
            cluster.start_node(name)
        # queued and running jobs end before the daemons, so that no process of theirs stays
        stack.callback(_end_jobs)
        yield cluster


@contextmanager
def _settings(conf: str) -> Iterator[None]:
    """Put a cluster's settings into /etc/slurm; what was there comes back, even after a run that was killed."""
    if SETTINGS.exists() and not SAVED.exists():
        SETTINGS.rename(SAVED)
    shutil.rmtree(SETTINGS, ignore_errors=True)
    try:
        SETTINGS.mkdir()
        (SETTINGS / "slurm.conf").write_text(conf)
        (SETTINGS / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        yield
    finally:
        shutil.rmtree(SETTINGS, ignore_errors=True)
        if SAVED.exists():
            SAVED.rename(SETTINGS)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _start_munge(stack: ExitStack, folder: Path) -> None:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    places = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed", "log")]
    _daemon(stack, folder, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *places)
    _wait(lambda: (folder / "munge.socket").exists(), "munged", folder)


def _daemon(stack: ExitStack, folder: Path, program: str, *words: str) -> subprocess.Popen:
    with (folder / f"{program}.out").open("a") as out:
        process = subprocess.Popen(
            [*_TOGETHER, program, *words],
            env=os.environ | {"PATH": _path()},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_jobs() -> None:
    subprocess.run(["scancel", "--user=root"], capture_output=True, timeout=_PATIENCE)
    deadline = time.monotonic() + _PATIENCE
    while _told("squeue", "--noheader") and time.monotonic() < deadline:
        time.sleep(0.2)


def _told(*command: str) -> str:
    """What a client of Slurm says, nothing where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE).stdout
    except subprocess.TimeoutExpired:
        return ""


def _wait(ready: Callable[[], bool], what: str, folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            logs = [path for path in sorted(folder.iterdir()) if path.suffix in (".log", ".out")]
            ends = [f"{path.name}: {path.read_text(errors='replace')[-500:]}" for path in logs]
            raise ClusterError("\n".join([f"{what} does not come up", *ends]))
        time.sleep(0.1)


def main(command: list[str]) -> int:
    """Run a command with the cluster; its exit status."""
    try:
        with local_slurm(cpus=max(2, len(os.sched_getaffinity(0))), memory_mb=BELIEVED_MB):
            return subprocess.run([*_TOGETHER, *command]).returncode
    except ClusterError as error:
        sys.exit(f"No Slurm: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
