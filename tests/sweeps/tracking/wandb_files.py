"""Reading of the files that W&B's offline runs leave."""

import dataclasses
import json
import struct
from collections import defaultdict
from pathlib import Path

import pandas as pd
from wandb.proto.wandb_internal_pb2 import Record


def records(path: Path) -> list[Record]:
    """The records of a W&B file: a LevelDB log in blocks of 32 KiB after a header of 7 bytes."""
    data, at, found, parts = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(Record.FromString(parts))
            parts = b""
    return found


@dataclasses.dataclass
class Offline:
    """What an offline run holds; `history` is a list of logged rows."""

    folder: Path
    id: str
    name: str
    group: str
    job_type: str
    config: dict
    summary: dict
    history: list[dict]
    exit_code: int | None


def read_run(folder: Path) -> Offline:
    (path,) = folder.glob("*.wandb")
    found = records(path)
    (run,) = [one.run for one in found if one.HasField("run")]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    summary, history, exits = {}, [], [one.exit.exit_code for one in found if one.HasField("exit")]
    for one in found:
        summary |= {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in one.summary.update}
        if one.HasField("history"):
            items = one.history.item
            history.append({"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items})
    about = (run.run_id, run.display_name, run.run_group, run.job_type)
    return Offline(folder, *about, config, summary, history, exits[0] if exits else None)


def offline_runs(folder: Path) -> dict[str, list[Offline]]:
    """The offline runs of a sweep by their type, oldest first."""
    found = defaultdict(list)
    paths = sorted(
        (folder / "wandb").glob("offline-run-*"), key=lambda path: next(path.glob("*.wandb")).stat().st_mtime
    )
    for path in paths:
        run = read_run(path)
        found[run.job_type].append(run)
    return dict(found)


def table(run: Offline, name: str) -> pd.DataFrame:
    (path,) = (run.folder / "files/media/table").glob(f"{name}_*.json")
    values = json.loads(path.read_text())
    return pd.DataFrame(values["data"], columns=values["columns"])
