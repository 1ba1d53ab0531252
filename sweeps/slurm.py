"""Work on a Slurm cluster: job arrays through submitit, in the queue when `submit` returns."""

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit
import submitit.helpers
from submitit.core.utils import FailedJobError, FailedSubmissionError

from p2p.checks import check_keys

Task = Callable[[], Any]

UNKNOWN = "UNKNOWN"

_OVER = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT", UNKNOWN),
}

# Time limits may stop one task so often. submitit's own 3 would fail a long shard, endless would hide one that hangs.
MAX_TIMEOUTS = 1000

# Slurm looks for jobs near their time limit so often that the signal may come so much earlier.
_EARLY_S = 60

_NAMES = ("partition", "account", "qos", "constraint", "gres")

# Options of sbatch that are ours, and the setting that decides each, if any.
_OWN_OPTIONS = {
    "array": "array_parallelism",
    "account": "account",
    "constraint": "constraint",
    "cpus-per-task": "cpus_per_task",
    "dependency": None,
    "error": None,
    "gres": "gres",
    "job-name": None,
    "mem": "mem_gb",
    "no-requeue": None,
    "nodes": None,
    "ntasks": None,
    "ntasks-per-node": None,
    "open-mode": None,
    "output": None,
    "partition": "partition",
    "qos": "qos",
    "requeue": None,
    "signal": "signal_delay_s",
    "time": "time_min",
}

# Variables of sbatch that would overrule what is written for every job.
_UNDOING = {
    f"SBATCH_{name}"
    for name in ("ARRAY_INX", "ERROR", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE", "OUTPUT", "SIGNAL", "TIMELIMIT", "WAIT")
}


@dataclass(frozen=True)
class SlurmSettings:
    """What a sweep asks of Slurm. None leaves a choice to the cluster.

    Attributes:
        tasks: number of shards, an array task each; None is as many as run at the same time.
        max_array_size: tasks per job array, at most the cluster's MaxArraySize.
        array_parallelism: tasks that run at the same time, over all arrays of a submission.
        partition, account, qos, constraint, gres: as `sbatch` takes them.
        time_min: minutes until a task is stopped and queued again.
        mem_gb: memory of a task.
        cpus_per_task: processors of a task.
        signal_delay_s: seconds between the notice of the time limit and the limit.
        setup: shell lines that run before each task.
        additional: further options of `sbatch`; True for those without a value.
    """

    tasks: int | None = None
    max_array_size: int = 1000
    array_parallelism: int = 16
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gres: str | None = None
    time_min: int = 240
    mem_gb: float | None = 16
    cpus_per_task: int | None = 4
    signal_delay_s: int = 120
    setup: tuple[str, ...] = ()
    additional: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tasks", "cpus_per_task", "max_array_size", "array_parallelism", "time_min", "signal_delay_s"):
            _check_whole(name, getattr(self, name), may_be_none=name in ("tasks", "cpus_per_task"))
        for name in _NAMES:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip() or "\n" in value):
                raise ValueError(f"launcher.{name} must be one line of text or null, got {value!r}")
        memory = self.mem_gb
        if memory is not None and (isinstance(memory, bool) or not isinstance(memory, int | float) or not memory > 0):
            raise ValueError(f"launcher.mem_gb must be a number of gigabytes above 0 or null, got {memory!r}")
        longest = 60 * self.time_min - _EARLY_S - 1
        if self.signal_delay_s > longest:
            raise ValueError(
                f"launcher.signal_delay_s must be at most {longest} where launcher.time_min is {self.time_min}, "
                f"got {self.signal_delay_s}: Slurm's signal may come {_EARLY_S} s early; raise launcher.time_min"
            )
        self._check_setup()
        self._check_additional()

    def _check_setup(self) -> None:
        if not isinstance(self.setup, list | tuple) or not all(isinstance(line, str) for line in self.setup):
            raise ValueError(f"launcher.setup must be a list of shell lines, got {self.setup!r}")
        object.__setattr__(self, "setup", tuple(self.setup))

    def _check_additional(self) -> None:
        if not isinstance(self.additional, Mapping):
            raise ValueError(f"launcher.additional must map options of sbatch to values, got {self.additional!r}")
        options = {}
        for key, value in self.additional.items():
            option = str(key).lstrip("-").replace("_", "-")
            if not re.fullmatch(r"[a-z][a-z0-9-]+", option):
                raise ValueError(f"launcher.additional: {key!r} is no long option of sbatch, as `exclusive` is")
            if option in _OWN_OPTIONS:
                setting = _OWN_OPTIONS[option]
                remedy = f"set launcher.{setting}" if setting else "the launcher decides it"
                raise ValueError(f"launcher.additional.{key} cannot be given: {remedy}")
            if not (value is True or isinstance(value, str) or type(value) in (int, float)) or "\n" in str(value):
                raise ValueError(
                    f"launcher.additional.{key} must be text or a number, or true for an option without value, "
                    f"got {value!r}"
                )
            options[option] = value
        object.__setattr__(self, "additional", options)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "SlurmSettings":
        """The settings that plain values describe.

        Raises:
            ValueError: an unknown key or a value that cannot be, with what is allowed.
        """
        check_keys("launcher", values, cls)
        filled = dict(values)
        for name, empty in (("setup", ()), ("additional", {})):
            if filled.get(name, empty) is None:
                filled[name] = empty
        return cls(**filled)


def _check_whole(name: str, value: Any, may_be_none: bool) -> None:
    if value is None and may_be_none:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        or_null = " or null" if may_be_none else ""
        raise ValueError(f"launcher.{name} must be a whole number, at least 1{or_null}, got {value!r}")


def executor_parameters(settings: SlurmSettings, name: str) -> dict[str, Any]:
    """What submitit's SlurmExecutor is given for jobs called `name`."""
    same = (*_NAMES, "cpus_per_task", "signal_delay_s", "array_parallelism")
    return {
        **{key: getattr(settings, key) for key in same},
        "job_name": name,
        "nodes": 1,
        "ntasks_per_node": 1,
        "time": settings.time_min,
        "mem": None if settings.mem_gb is None else f"{round(settings.mem_gb * 1024)}M",
        "setup": list(settings.setup),
        # since Slurm 22.05, srun no longer takes it from sbatch
        "srun_args": [] if settings.cpus_per_task is None else [f"--cpus-per-task={settings.cpus_per_task}"],
        "wckey": None,  # submitit's default is refused by clusters that check it
        "additional_parameters": {**settings.additional, "requeue": True},
    }


def submit(tasks: Sequence[Task], last: Task, folder: Path, name: str, settings: SlurmSettings) -> list[str]:
    """Put `tasks` into the queue as job arrays, and `last` as one job after all of them, whatever became of them.

    An array waits for the one before, so `array_parallelism` holds over all of them. A task with the method
    `checkpoint` (submitit.helpers.Checkpointable) is queued again before its time limit, any task when Slurm preempts
    it or its node fails. It then starts from its beginning and has to find out by itself what is done. `last` asks for
    what a task asks for: there are partitions that refuse jobs without a GPU.

    Returns:
        The job ids of `tasks`, in their order, then that of `last`.

    Raises:
        ValueError: there is no Slurm here, or it refuses the jobs; none stays in the queue.
    """
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise ValueError(
            "launcher=slurm needs the commands sbatch and srun, which are not on PATH here; "
            "run on a login node of the cluster, or take launcher=local or launcher=process"
        )
    logs = (folder / "slurm").absolute()
    if "%" in str(logs):
        raise ValueError(f"Slurm reads '%' in paths of logs as a pattern, got {logs}; choose another results_dir")
    ids: list[str] = []
    arrays: list[str] = []
    try:
        with _environment_of_a_login(settings):
            for start in range(0, len(tasks), settings.max_array_size):
                executor = _executor(logs, name, settings, arrays[-1:])
                jobs = executor.submit_array(tasks[start : start + settings.max_array_size])
                ids += [str(job.job_id) for job in jobs]
                arrays.append(_array(ids[-1]))
            ids.append(str(_executor(logs, f"{name}-last", settings, arrays).submit(last).job_id))
    except BaseException as error:
        cancel(ids)
        if isinstance(error, FailedJobError | FailedSubmissionError):
            reason = " ".join(str(error).split())
            raise ValueError(f"sbatch refuses the jobs ({reason}); change the settings below launcher") from error
        raise
    return ids


def cancel(job_ids: Sequence[str]) -> None:
    """End jobs, running or not; those that are over stay as they are.

    Raises:
        RuntimeError: Slurm does not answer.
    """
    for start in range(0, len(job_ids), 500):
        # those that wait for others first, lest they start
        _ask("scancel", *list(reversed(job_ids))[start : start + 500])


def states(job_ids: Sequence[str]) -> dict[str, str]:
    """The state of each job in Slurm's words (`PENDING`, `RUNNING`, `COMPLETED`, ...).

    `UNKNOWN` once Slurm has forgotten it: some minutes after its end, at once if it was cancelled before it started.

    Raises:
        RuntimeError: Slurm does not answer.
    """
    if not job_ids:
        return {}
    arrays = dict.fromkeys(map(_array, job_ids))
    text = _ask("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={','.join(arrays)}")
    known = dict(line.strip().split("|") for line in text.splitlines())
    return {job_id: known.get(job_id, UNKNOWN) for job_id in job_ids}


def are_going_on(job_ids: Sequence[str]) -> bool:
    """Whether any of the jobs waits or runs; while Slurm does not answer, they are taken to."""
    try:
        return any(state not in _OVER for state in states(job_ids).values())
    except RuntimeError:
        return True


def in_words(job_ids: Sequence[str]) -> str:
    """Job ids with the tasks of an array as one: `12 (3 tasks), 13`."""
    arrays = Counter(map(_array, job_ids))
    return ", ".join(job if job in job_ids else f"{job} ({number} tasks)" for job, number in arrays.items())


def _executor(logs: Path, name: str, settings: SlurmSettings, after: Sequence[str]) -> Any:
    executor = submitit.SlurmExecutor(folder=logs, max_num_timeout=MAX_TIMEOUTS)
    parameters = executor_parameters(settings, name)
    threads = _threads(settings.cpus_per_task) if settings.cpus_per_task else []
    parameters["setup"] = [*_repair(logs), *_go_on_after_notice(), *threads, *parameters["setup"]]
    executor.update_parameters(**parameters, dependency=f"afterany:{':'.join(after)}" if after else None)
    return executor


def _repair(logs: Path) -> list[str]:
    """Shell lines for a task whose last run was killed while submitit wrote its pickle.

    submitit deletes the old one and renames the new; it stops where it finds a new one that was never renamed.
    """
    return [
        'id="${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"',
        f'job={shlex.quote(str(logs))}/"$id"',
        '[ -e "${job}_submitted.pkl" ] || mv "${job}_submitted.pkl.save_tmp" "${job}_submitted.pkl" 2> /dev/null',
        'rm -f "${job}"_*.save_tmp',
    ]


def _go_on_after_notice() -> list[str]:
    """Shell lines that queue a task again which SIGTERM ended while Slurm has its job running.

    So ends a task in the grace time before its job is preempted; Slurm would count it as failed, and never requeue it.
    A job that was cancelled is no longer RUNNING.
    """
    return [
        "again() {",
        '  [ "$1" = 130 ] || [ "$1" = 143 ] || return',
        '  [ "$(squeue --noheader --jobs="$id" --format=%T)" = RUNNING ] && scontrol requeue "$id"',
        "}",
        "trap 'status=$?; again $status; exit $status' EXIT",
    ]


def _threads(processors: int) -> list[str]:
    """Shell lines that keep a task to its processors on clusters that do not bind it to them."""
    return [f'export OMP_NUM_THREADS="${{OMP_NUM_THREADS:-{processors}}}"']


@contextmanager
def _environment_of_a_login(settings: SlurmSettings) -> Iterator[None]:
    """Hide what a job that we are in has set for itself, and the variables of sbatch that would undo our settings."""
    undoing = _UNDOING | {f"SBATCH_{key.upper()}" for key in _NAMES if getattr(settings, key) is not None}
    kept = {
        key: value
        for key, value in os.environ.items()
        if key == "SLURM_CONF" or (key.startswith("SBATCH_") and key not in undoing)
    }
    with submitit.helpers.clean_env():
        os.environ.update(kept)
        yield


def _array(job_id: str) -> str:
    """The job that an array's task belongs to: `12` of `12_3`."""
    return job_id.split("_")[0]


def _ask(*command: str) -> str:
    """The output of a command of Slurm; jobs that Slurm has forgotten are no error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "Invalid job id" not in done.stderr:
        raise RuntimeError(f"{command[0]} does not answer: {done.stderr.strip()}")
    return done.stdout
