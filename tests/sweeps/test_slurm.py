import os
import pickle
import re
import subprocess
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
import yaml

from sweeps.slurm import (
    MAX_TIMEOUTS,
    SlurmSettings,
    are_going_on,
    cancel,
    executor_parameters,
    in_words,
    states,
    submit,
)

SHARED = Path(__file__).parents[2] / "conf/launcher/slurm.yaml"
GOLDEN = Path(__file__).parent / "slurm_sbatch.txt"

# Counts its calls from 100 on, and keeps each script and environment; refuses partition `full` from the second on.
SBATCH = """#!/bin/sh
cd "$(dirname "$0")"
[ -e 100.sh ] && grep -q partition=full "$1" && { echo 'sbatch: error: over the limit' >&2; exit 1; }
number=100; while [ -e $number.sh ]; do number=$((number + 1)); done
cp "$1" $number.sh; env > $number.env; echo "Submitted batch job $number"
"""


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder on PATH with stand-ins for Slurm's commands, that keep what they are given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    keep = '#!/bin/sh\necho "$@" >> "$0.calls"\n'
    for name, text in {"sbatch": SBATCH, "srun": keep, "scancel": keep, "squeue": keep}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def _calls(commands, name):
    file = commands / f"{name}.calls"
    return file.read_text().splitlines() if file.exists() else []


def _options(script):
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script.read_text(), re.MULTILINE))


def _tasks(number):
    return [partial(int, i) for i in range(number)]


def test_the_configuration_file_has_every_setting_with_its_default():
    values = yaml.safe_load(SHARED.read_text())
    assert values.pop("kind") == "slurm"
    assert list(values) == [field.name for field in fields(SlurmSettings)]
    assert SlurmSettings.from_mapping(values) == SlurmSettings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"partitoin": "gpu"}, "unknown key launcher.partitoin; did you mean launcher.partition?"),
        ({"tasks": 0}, "launcher.tasks must be a whole number, at least 1 or null, got 0"),
        ({"array_parallelism": None}, "launcher.array_parallelism must be a whole number, at least 1, got None"),
        ({"time_min": "4:00:00"}, "launcher.time_min must be a whole number, at least 1, got '4:00:00'"),
        ({"max_array_size": True}, "launcher.max_array_size must be a whole number, at least 1, got True"),
        ({"mem_gb": 0}, "launcher.mem_gb must be a number of gigabytes above 0 or null, got 0"),
        ({"partition": 3}, "launcher.partition must be one line of text or null, got 3"),
        ({"gres": ""}, "launcher.gres must be one line of text or null, got ''"),
        ({"time_min": 3}, "launcher.signal_delay_s must be at most 119 where launcher.time_min is 3, got 120"),
        ({"setup": "module load cuda"}, "launcher.setup must be a list of shell lines, got 'module load cuda'"),
        ({"setup": 5}, "launcher.setup must be a list of shell lines, got 5"),
        ({"additional": ["exclusive"]}, "launcher.additional must map options of sbatch to values"),
        ({"additional": {"time": 5}}, "launcher.additional.time cannot be given: set launcher.time_min"),
        ({"additional": {"--job_name": "a"}}, "launcher.additional.--job_name cannot be given: the launcher decides"),
        ({"additional": {"exclusive": False}}, "launcher.additional.exclusive must be text or a number, or true"),
        ({"additional": {"p": "gpu"}}, "launcher.additional: 'p' is no long option of sbatch"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SlurmSettings.from_mapping(values)


def test_empty_settings_are_none_given():
    assert SlurmSettings.from_mapping({"setup": None, "additional": None}) == SlurmSettings()


def test_a_time_limit_that_leaves_time_to_work_is_taken():
    assert SlurmSettings(time_min=3, signal_delay_s=119).signal_delay_s == 119


def test_jobs_are_requeued_append_to_their_logs_and_are_no_key_of_accounting():
    parameters = executor_parameters(SlurmSettings(additional={"reservation": "night"}), "faces")
    assert parameters["additional_parameters"] == {"reservation": "night", "requeue": True}
    assert parameters["wckey"] is None
    assert parameters["srun_args"] == ["--cpus-per-task=4"]


def test_the_scripts_of_an_array_and_of_the_last_job_are_golden(commands, tmp_path):
    settings = SlurmSettings(
        partition="gpu,spare",
        account="lab",
        gres="gpu:1",
        mem_gb=1.5,
        setup=("module load cuda",),
        additional={"exclude": "node[1-2]", "nice": 10, "no_kill": True},
    )
    submit(_tasks(2), int, tmp_path / "a folder", "faces", settings)
    texts = [(commands / f"{number}.sh").read_text() for number in (100, 101)]
    text = "\n".join(texts).replace(str(tmp_path), "/data").replace(sys.executable, "/bin/python")
    assert text == GOLDEN.read_text()


def test_arrays_wait_for_each_other_and_the_last_job_for_all(commands, tmp_path):
    settings = SlurmSettings(max_array_size=3, array_parallelism=2)
    ids = submit(_tasks(7), int, tmp_path, "faces", settings)
    assert ids == ["100_0", "100_1", "100_2", "101_0", "101_1", "101_2", "102", "103"]
    options = [_options(commands / f"{number}.sh") for number in range(100, 104)]
    assert [option.get("array") for option in options] == ["0-2%2", "0-2%2", None, None]
    assert [option.get("dependency") for option in options] == [
        None,
        "afterany:100",
        "afterany:101",
        "afterany:100:101:102",
    ]
    assert [option["job-name"] for option in options] == ["faces"] * 3 + ["faces-last"]
    assert all("requeue" in option and option["open-mode"] == "append" for option in options)


def test_a_task_may_meet_its_time_limit_many_times(commands, tmp_path):
    ids = submit(_tasks(2), int, tmp_path, "faces", SlurmSettings(time_min=30))
    for job_id in ids:
        delayed = pickle.loads((tmp_path / "slurm" / f"{job_id}_submitted.pkl").read_bytes())
        assert (delayed._timeout_min, delayed._timeout_countdown) == (30, MAX_TIMEOUTS)


def test_no_job_starts_from_what_the_job_around_it_was_given(commands, tmp_path, monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_MEM_PER_NODE", "SLURM_CONF", "SBATCH_PARTITION", "SBATCH_ACCOUNT"):
        monkeypatch.setenv(name, "outer")
    monkeypatch.setenv("SBATCH_SIGNAL", "outer")
    submit(_tasks(1), int, tmp_path, "faces", SlurmSettings(partition="gpu"))
    seen = re.findall(r"^((?:SLURM|SBATCH)_\w+)=outer$", (commands / "100.env").read_text(), re.MULTILINE)
    assert sorted(seen) == ["SBATCH_ACCOUNT", "SLURM_CONF"]
    assert os.environ["SLURM_JOB_ID"] == os.environ["SBATCH_SIGNAL"] == "outer"


def test_a_refused_array_takes_those_before_it_out_of_the_queue(commands, tmp_path):
    with pytest.raises(ValueError, match=re.escape("refuses the jobs (sbatch: error: over the limit); change")):
        submit(_tasks(4), int, tmp_path, "faces", SlurmSettings(max_array_size=2, partition="full"))
    assert _calls(commands, "scancel") == ["100_1 100_0"]


def test_without_slurm_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="run on a login node of the cluster, or take launcher=local or launcher=proc"):
        submit(_tasks(1), int, tmp_path, "faces", SlurmSettings())


def test_a_folder_that_slurm_would_read_as_a_pattern_is_refused(commands, tmp_path):
    with pytest.raises(ValueError, match="choose another results_dir"):
        submit(_tasks(1), int, tmp_path / "100%j", "faces", SlurmSettings())


def test_states_are_those_of_the_queue_else_unknown(commands):
    (commands / "squeue").write_text('#!/bin/sh\necho "$@" >> "$0.calls"\necho "5_0|RUNNING"\necho "5_1|PENDING"\n')
    assert states(["5_0", "5_1", "5_2", "7"]) == {"5_0": "RUNNING", "5_1": "PENDING", "5_2": "UNKNOWN", "7": "UNKNOWN"}
    assert _calls(commands, "squeue")[0].endswith("--jobs=5,7")
    assert states([]) == {}


def test_forgotten_jobs_are_no_error_but_a_silent_slurm_is(commands):
    for name, ask in {"squeue": states, "scancel": cancel}.items():
        (commands / name).write_text("#!/bin/sh\necho 'error: Invalid job id specified' >&2; exit 1\n")
        ask(["5"])
        (commands / name).write_text("#!/bin/sh\necho 'error: Unable to contact slurm controller' >&2; exit 1\n")
        with pytest.raises(RuntimeError, match=f"{name} does not answer: error: Unable to contact"):
            ask(["5"])


def test_jobs_are_cancelled_behind_first(commands):
    cancel(["5_0", "5_1", "6"])
    assert _calls(commands, "scancel") == ["6 5_1 5_0"]


@pytest.mark.parametrize(
    ("status", "state", "again"),
    [
        (143, "RUNNING", True),
        (130, "RUNNING", True),
        (143, "CANCELLED", False),
        (143, "", False),
        (1, "RUNNING", False),
        (0, "RUNNING", False),
    ],
)
def test_a_task_ended_by_a_notice_is_queued_again_unless_its_job_was_cancelled(
    commands, tmp_path, status, state, again
):
    submit(_tasks(2), int, tmp_path, "faces", SlurmSettings())
    for name, text in {
        "srun": f"exit {status}",
        "squeue": f"echo {state}",
        "scontrol": 'echo "$@" > "$0.calls"',
    }.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    given = {"SLURM_JOB_ID": "101", "SLURM_ARRAY_JOB_ID": "100", "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(["bash", commands / "100.sh"], env={**os.environ, **given}, check=False)
    assert done.returncode == status
    assert _calls(commands, "scontrol") == (["requeue 100_1"] if again else [])


def test_a_task_takes_its_processors_unless_the_user_says_otherwise(commands, tmp_path, monkeypatch):
    submit(_tasks(1), int, tmp_path, "faces", SlurmSettings(cpus_per_task=2))
    (commands / "srun").write_text('#!/bin/sh\necho "$OMP_NUM_THREADS" >> "$0.calls"\n')
    for threads in ("", "3"):
        given = {"SLURM_JOB_ID": "100", "OMP_NUM_THREADS": threads}
        subprocess.run(["bash", commands / "100.sh"], env={**os.environ, **given}, check=True)
    assert _calls(commands, "srun") == ["2", "3"]


def test_jobs_go_on_until_all_are_over_or_forgotten(commands):
    for lines, going_on in {"5_0|COMPLETED": False, "5_0|FAILED\n5_1|PENDING": True, "": False}.items():
        (commands / "squeue").write_text(f"#!/bin/sh\nprintf '{lines}'\n")
        assert are_going_on(["5_0", "5_1"]) is going_on
    (commands / "squeue").write_text("#!/bin/sh\necho 'error: Unable to contact slurm controller' >&2; exit 1\n")
    assert are_going_on(["5_0"])


def test_arrays_are_told_of_by_their_number_of_tasks():
    assert in_words(["5_0", "5_1", "6", "7"]) == "5 (2 tasks), 6, 7"


@pytest.mark.parametrize("array", [True, False])
def test_a_task_killed_while_its_pickle_was_written_finds_one(commands, tmp_path, array):
    folder = tmp_path / "a folder"
    submit(_tasks(2 if array else 1), int, folder, "faces", SlurmSettings())
    job = "100_1" if array else "100"
    kept, new = (folder / "slurm" / f"{job}_submitted.pkl{end}" for end in ("", ".save_tmp"))
    given = {"SLURM_ARRAY_JOB_ID": "100", "SLURM_ARRAY_TASK_ID": "1"} if array else {}
    text = (commands / "100.sh").read_text()
    for before, after in ({kept: "old"}, "old"), ({kept: "old", new: "ne"}, "old"), ({new: "new"}, "new"):
        for file in (kept, new):
            file.unlink(missing_ok=True)
        for file, content in before.items():
            file.write_text(content)
        done = subprocess.run(["bash", "-c", text], env={**os.environ, "SLURM_JOB_ID": "100", **given}, check=True)
        assert done.returncode == 0
        assert kept.read_text() == after
        assert not new.exists()
