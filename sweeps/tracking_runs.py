"""Writes W&B runs in a process of its own, so that nothing W&B does can slow, stop or litter a sweep.

`start_process` starts this file as a program, which reads JSON lines. It imports no package of ours: those take longer
to import than most of its work. The first line is the header: mode, project, entity, group, folder. Then come whole
runs, a line each, whose keys are answered as they are written (`batch`); or one run as it goes (`live`): what starts
it, what is logged, and its end. Input that ends before that is from a worker that was killed. The last answer is the
error, or null.
"""

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO

INIT_S = 20
"""Seconds that a server has to start a run."""
_PROBE_S = 5
_MOST_ROWS = 10_000_000
_UPLOADS = 8
"""Runs that are sent at once: a server's answers take longer than the work."""
_ENVIRONMENT = {"WANDB_ERROR_REPORTING": "false"}
"""W&B's reports about itself end every run one after the other."""

Message = Mapping[str, Any]


def start_process(kind: Literal["batch", "live"]) -> "subprocess.Popen[bytes]":
    """Start `tracking_runs.py` with a group of its own, which Ctrl-C does not reach and `kill` does."""
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, kind],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"} | _ENVIRONMENT,
    )
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), kind == "batch")
    return process


def finish_process(
    process: "subprocess.Popen[bytes]", timeout_s: float, lines: Sequence[Message] = ()
) -> tuple[list[str], str | None]:
    """Send the last lines, wait and clean up: the keys of the runs written, and what went wrong."""
    error = None
    try:
        output, _ = process.communicate(b"".join(map(line, lines)), timeout_s)
    except subprocess.TimeoutExpired:
        error = f"not finished within {timeout_s:g} s"
        kill(process)
        output, _ = process.communicate()
    finally:
        kill(process)
    reports = [json.loads(text) for text in output.splitlines()]
    if process.returncode and not error:
        error = f"its process ended with status {process.returncode}"
    told = [report["error"] for report in reports if "error" in report]
    return [report["done"] for report in reports if "done" in report], told[0] if told else error


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End the process and what it started, if they still run."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def line(message: Message) -> bytes:
    """A message as it is sent."""
    return json.dumps(message, default=str).encode() + b"\n"


def reason(error: BaseException) -> str:
    """An error's first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def main() -> None:
    """Write what standard input says; standard output is a JSON line for each run written, or the error."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        header = json.loads(sys.stdin.readline())
        wandb = _connect(header)
        if sys.argv[1] == "live":
            _write_live(wandb, header, reports)
        else:
            _write_batch(wandb, header, reports)
        _report(reports, {"error": None})
    except BaseException as error:
        _report(reports, {"error": reason(error)})
        os._exit(1)  # W&B would wait for what can no longer be sent


def _connect(header: Message) -> Any:
    """The wandb module, ready to start runs.

    Raises:
        RuntimeError: online without a login or without a server.
    """
    Path(header["folder"], "wandb").mkdir(parents=True, exist_ok=True)
    import wandb

    wandb.Table.MAX_ROWS = wandb.Table.MAX_ARTIFACT_ROWS = _MOST_ROWS
    settings = wandb.setup(_settings(wandb)).settings
    if header["mode"] == "online":
        if not wandb.login(prompt=False, verify=False):
            raise RuntimeError("no login; run `wandb login`, or set tracking=offline")
        _check_reachable(settings.base_url)
    return wandb


def _check_reachable(url: str) -> None:
    """Raise RuntimeError if nothing answers at `url`; W&B itself would try for long."""
    try:
        urllib.request.urlopen(url, timeout=_PROBE_S).close()
    except urllib.error.HTTPError:
        return
    except OSError as error:
        cause = getattr(error, "reason", error)
        if not isinstance(cause, ssl.SSLError):  # W&B has certificates of its own
            raise RuntimeError(f"{url} does not answer: {cause}; set tracking=offline") from error


def _settings(wandb: Any) -> Any:
    """Quiet, with a deadline, and without looking at the machine or the code."""
    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        init_timeout=INIT_S,
    )


def _start(wandb: Any, header: Message, run: Message) -> Any:
    online = header["mode"] == "online"
    return wandb.init(
        mode=header["mode"],
        project=header["project"],
        entity=header["entity"],
        group=header["group"],
        dir=header["folder"],
        id=run["id"],
        name=run["name"],
        job_type=run["job_type"],
        config=run["config"],
        resume="allow" if online else None,
        reinit="create_new",
        allow_val_change=True,
        settings=_settings(wandb),
    )


def _write_batch(wandb: Any, header: Message, reports: TextIO) -> None:
    with ThreadPoolExecutor(_UPLOADS if header["mode"] == "online" else 1) as pool:
        runs = [json.loads(text) for text in sys.stdin]
        try:
            for key in pool.map(lambda run: _write(wandb, header, run), runs):
                _report(reports, {"done": key})
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write(wandb: Any, header: Message, run: Message) -> str:
    """Write one whole run; its key."""
    with _start(wandb, header, run) as started:
        contents = {name: _table(wandb, table) for name, table in run.get("tables", {}).items()}
        for name, images in run.get("images", {}).items():
            contents[name] = [wandb.Image(path, caption=caption) for path, caption in images]
        if contents:
            started.log(contents)
        started.summary.update(run["summary"])
    return str(run["key"])


def _table(wandb: Any, table: Message) -> Any:
    """A W&B table of any size; given the rows at once it would examine every value, at 1 ms a row."""
    made = wandb.Table(columns=table["columns"], allow_mixed_types=True)
    made.data = table["rows"]
    return made


def _write_live(wandb: Any, header: Message, reports: TextIO) -> None:
    started = json.loads(sys.stdin.readline())
    run = _start(wandb, header, started)
    exit_code = 1
    for text in sys.stdin:
        message = json.loads(text)
        if "exit_code" in message:
            exit_code = message["exit_code"]
            break
        run.log(message)
    run.finish(exit_code=exit_code)
    _report(reports, {"done": started["key"]})


def _report(reports: TextIO, message: Message) -> None:
    reports.write(line(message).decode())
    reports.flush()


if __name__ == "__main__":
    main()
