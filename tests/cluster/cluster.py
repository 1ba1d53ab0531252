"""A real Slurm cluster of one node on this machine, for tests and for trying `launcher=slurm`.

    eval "$(python tests/cluster/cluster.py start)"    # prints the variables that Slurm's commands and the tests need
    python -m pytest tests/cluster
    python tests/cluster/cluster.py stop

Needs root on Debian or Ubuntu: installs slurm-wlm and munge where they are missing; everything else lies in a folder of
its own, and /etc is left alone. The node gives at least four CPUs whatever the machine has. Jobs of partition `low` are
requeued, after a grace time of five seconds, when jobs of partition `high` need their place. `fail-node` is the node
losing its power with all that runs on it, `resume-node` its return. Requeued jobs start after `cred_expire` seconds.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
DAEMONS = ("munged", "slurmctld", "slurmd")  # in the order of their start

SLURM_CONF = """\
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait=3
OverTimeLimit=0
SlurmdTimeout=10
InactiveLimit=0
DefMemPerCPU=256
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=low Nodes=node Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=node MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def start(folder: Path) -> None:
    """Install what is missing, start the daemons, and wait until the node takes jobs; nothing if it already does."""
    if _is_ready(folder):
        return
    _install()
    stop(folder)
    shutil.rmtree(folder, ignore_errors=True)
    for part in (folder, folder / "state", folder / "spool"):
        part.mkdir(mode=0o755, parents=True)
    _write_config(folder)
    own = [f"--{what}-file={folder}/munged.{what}" for what in ("pid", "log", "seed")]
    _daemon("munged", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket", *own)
    _daemon("slurmctld", "-f", f"{folder}/slurm.conf")
    resume_node(folder)


def stop(folder: Path) -> None:
    """Cancel all jobs and end the daemons; the logs stay."""
    if _is_ready(folder):
        _within(20, lambda: _cancel_all(folder))
    for name in reversed(DAEMONS):
        pid = _pid(folder, name)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        if not _within(30, lambda name=name: _pid(folder, name) is None):  # type: ignore[misc]
            raise SystemExit(f"{name} (process {pid}) does not end")


def fail_node(folder: Path) -> None:
    """Kill the node's daemon and all its jobs, and tell the controller, which would notice after SlurmdTimeout."""
    pid = _pid(folder, "slurmd")
    for process in ([] if pid is None else [pid]) + _steps_and_tasks(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    _ask(folder, "scontrol", "update", "nodename=node", "state=down", "reason=failed")


def resume_node(folder: Path) -> None:
    """Start the node's daemon, and wait until the node takes jobs."""
    if _pid(folder, "slurmd") is None:
        _daemon("slurmd", "-f", f"{folder}/slurm.conf")
    if not _within(60, lambda: _is_ready(folder)):
        raise SystemExit(f"the node takes no jobs; see {folder}/slurmctld.log and {folder}/slurmd.log")


def _steps_and_tasks(folder: Path) -> list[int]:
    """The processes of this cluster's jobs, those of Slurm first, so that none reports the others' end."""
    slurms, others = [], []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            command = (process / "comm").read_text().strip()
        except OSError:
            continue
        if f"SLURM_CONF={folder}/slurm.conf".encode() in environment:
            if command == "slurmstepd":
                slurms.append(int(process.name))
            elif any(line.startswith(b"SLURM_JOB_ID=") for line in environment):
                others.append(int(process.name))
    return slurms + others


def _install() -> None:
    if os.geteuid() != 0:
        raise SystemExit("the daemons have to be started by root: use sudo, or a container whose user is root")
    if all(shutil.which(name, path=_path()) for name in PROGRAMS):
        return
    if shutil.which("apt-get") is None:
        raise SystemExit(f"no apt-get here: install Slurm and munge ({', '.join(PROGRAMS)}), then start again")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt_get = ["apt-get", "--quiet", "--option=Acquire::Retries=3"]
    for command in ("update", "install --yes --no-install-recommends slurm-wlm munge"):
        subprocess.run([*apt_get, *command.split()], env=environment, check=True, stdout=sys.stderr)


def _write_config(folder: Path) -> None:
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    host = socket.gethostname().split(".")[0]
    text = SLURM_CONF.format(folder=folder, host=host, cpus=max(4, os.cpu_count() or 1), memory_mb=memory_mb)
    (folder / "slurm.conf").write_text(text)
    version = subprocess.run([_program("slurmd"), "-V"], capture_output=True, text=True, check=True).stdout.split()[-1]
    if tuple(int(part) for part in version.split(".")[:2]) >= (23, 2):  # containers have no cgroups to write
        (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")


def _daemon(name: str, *arguments: str) -> None:
    done = subprocess.run([_program(name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} does not start: {done.stderr.strip()}")


def _pid(folder: Path, name: str) -> int | None:
    """The running daemon's process, by the file that it wrote."""
    try:
        pid = int((folder / f"{name}.pid").read_text())
        command = Path(f"/proc/{pid}/comm").read_text().strip()
        Path(f"/proc/{pid}/exe").readlink()  # a zombie has none
    except (OSError, ValueError):
        return None
    return pid if command == name else None


def _is_ready(folder: Path) -> bool:
    """Whether the daemons run and the node takes jobs."""
    if any(_pid(folder, name) is None for name in DAEMONS):
        return False
    return _ask(folder, "sinfo", "--noheader", "--format=%T").startswith(("idle", "mixed", "allocated"))


def _cancel_all(folder: Path) -> bool:
    """Cancel the jobs there are; whether there were none."""
    jobs = _ask(folder, "squeue", "--noheader", "--format=%A").split()
    if jobs:
        _ask(folder, "scancel", *reversed(jobs))
    return not jobs


def _ask(folder: Path, name: str, *arguments: str) -> str:
    environment = {**os.environ, "SLURM_CONF": f"{folder}/slurm.conf"}
    command = [_program(name), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False).stdout


def _program(name: str) -> str:
    return shutil.which(name, path=_path()) or name


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    """Wait until `done`, at most so long; whether it is."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def main() -> None:
    """Do what the command line says; `start` prints a shell line for users of the cluster."""
    parser = argparse.ArgumentParser(description="A Slurm cluster of one node on this machine.")
    commands = {"start": start, "stop": stop, "fail-node": fail_node, "resume-node": resume_node}
    parser.add_argument("command", choices=commands)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "p2p-cluster", help="state, logs")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    commands[arguments.command](folder)
    if arguments.command == "start":
        print(f"export P2P_CLUSTER=1 SLURM_CONF={shlex.quote(str(folder / 'slurm.conf'))}")


if __name__ == "__main__":
    main()
