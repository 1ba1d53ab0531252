"""PIE-Bench from folders of pictures: its mapping file, a row of values a picture, and the paper's table."""

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jaxtyping import Bool, UInt8
from torch import Tensor
from tqdm import tqdm

from metrics.pie import PIE_METRICS, SIDE, PieEdit, PieNetworks, decode_mask, score_pie, take_edit
from p2p.checks import check_flag, check_keys
from sweeps.files import write_atomically
from sweeps.pictures import load_picture
from sweeps.tables import aligned

MAPPING = "mapping_file.json"
PICTURES = "annotation_images"
ALL = "all"
"""The table's row over all types."""
_TYPES = {
    "0": "random",
    "1": "change object",
    "2": "add object",
    "3": "delete object",
    "4": "change content",
    "5": "change pose",
    "6": "change color",
    "7": "change material",
    "8": "change background",
    "9": "change style",
}
_NAMED = 5
"""Missing pictures that a message names."""


@dataclass(frozen=True)
class PieSettings:
    """Where the benchmark and the edited pictures are.

    Attributes:
        data: folder with the mapping file and the source pictures.
        edited: folder with the edited pictures, in the places that the mapping file names.
        allow_missing: leave out pictures that are not in `edited`.
    """

    data: Path
    edited: Path
    allow_missing: bool = False

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "PieSettings":
        """The settings from plain configuration values.

        Raises:
            ValueError: unknown key, or a folder that is not given or not there.
        """
        check_keys("pie", values, cls)
        for name, example in (("data", f"the folder of {MAPPING}"), ("edited", "the folder of the edited pictures")):
            if values[name] is None:
                raise ValueError(f"pie.{name} must be {example}, got null")
            if not Path(str(values[name])).expanduser().is_dir():
                raise ValueError(f"pie.{name}={values[name]}: there is no such folder; give {example}")
        check_flag("pie.allow_missing", values["allow_missing"])
        data, edited = (Path(str(values[name])).expanduser() for name in ("data", "edited"))
        return cls(data, edited, values["allow_missing"])


@dataclass(frozen=True)
class PieItem:
    """One entry of the mapping file.

    Attributes:
        file_id: its key.
        type_id: of the edit, `0` to `9`.
        image_path: of its picture, relative to `annotation_images` and to the folder of edited pictures.
        prompt: the target prompt without brackets.
        mask: the region that is to be edited.
    """

    file_id: str
    type_id: str
    image_path: str
    prompt: str
    mask: Bool[Tensor, "512 512"]


def read_mapping(path: Path) -> list[PieItem]:
    """The entries of a mapping file, in its order.

    Raises:
        ValueError: it is not there or not as published; the message names the entry.
    """
    try:
        entries = json.loads(path.read_text(), object_pairs_hook=_without_repeats)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such file; pie.data must be the folder of {MAPPING}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(entries, dict) or not entries:
        raise ValueError(f"{path}: expected entries by file id, got {type(entries).__name__}")
    return [_item(path, file_id, values) for file_id, values in entries.items()]


def score_folders(
    settings: PieSettings, names: Sequence[str], networks: PieNetworks, items: Sequence[PieItem]
) -> pd.DataFrame:
    """One row an entry: `file_id`, `editing_type_id` and the metrics, not scaled; NaN where a region is empty.

    Raises:
        ValueError: edited pictures are missing and must not be, or a picture is not as published.
    """
    rows = []
    for item in tqdm(there(settings, items), desc="PIE-Bench", unit="picture", disable=None, leave=False):
        edit = PieEdit(_source(settings, item), _edited(settings, item), item.mask, item.prompt)
        values = score_pie(edit, names, networks)
        rows.append({"file_id": item.file_id, "editing_type_id": item.type_id, **values})
    table = pd.DataFrame(rows, columns=["file_id", "editing_type_id", *names])
    return table.astype(dict.fromkeys(names, "float64"))


def there(settings: PieSettings, items: Sequence[PieItem]) -> list[PieItem]:
    """The entries whose edited pictures are there.

    Raises:
        ValueError: some are missing and must not be, or all.
    """
    missing = [item for item in items if not (settings.edited / item.image_path).is_file()]
    if missing and (not settings.allow_missing or len(missing) == len(items)):
        named = ", ".join(f"{item.file_id} ({item.image_path})" for item in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        remedy = "" if len(missing) == len(items) else "; pie.allow_missing=true leaves them out"
        raise ValueError(
            f"pie.edited={settings.edited}: {len(missing)} of {len(items)} edited pictures are missing: "
            f"{named}{more}{remedy}"
        )
    gone = {item.file_id for item in missing}
    return [item for item in items if item.file_id not in gone]


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the rows, an empty region's value as nothing, an infinite one as `inf`.

    Raises:
        OSError: the folder is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    table.to_csv(buffer, index=False)
    write_atomically(path, buffer.getvalue().encode())


def pie_means(table: pd.DataFrame) -> pd.DataFrame:
    """Scaled means by type and over all, in the paper's order of columns.

    Columns: editing_type_id, n, and for every metric its mean over the pictures that have a value, and how many have
    none (`_empty`).
    """
    names = [name for name in PIE_METRICS if name in table]
    types = sorted(table["editing_type_id"].unique())
    groups = [(ALL, table), *((kind, table[table["editing_type_id"] == kind]) for kind in types)]
    rows = []
    for kind, cells in groups:
        row: dict[str, Any] = {"editing_type_id": kind, "n": len(cells)}
        for name in names:
            row[name] = float(cells[name].mean()) * PIE_METRICS[name].scale
            row[f"{name}_empty"] = int(cells[name].isna().sum())
        rows.append(row)
    return pd.DataFrame(rows)


def pie_table(table: pd.DataFrame) -> str:
    """The paper's table of `score_folders`' rows, as lines for people."""
    means = pie_means(table)
    names = [name for name in PIE_METRICS if name in table]
    heads = [f"{PIE_METRICS[name].head}{'↑' if PIE_METRICS[name].higher_is_better else '↓'}" for name in names]
    rows = [["type", "n", *heads], *(list(_cells(row, names)) for _, row in means.iterrows())]
    notes = ["means; (-a): a pictures have no value, their region being empty"]
    if any(math.isinf(value) for name in names for value in means[name]):
        notes.append("inf: a picture equals its source outside the mask")
    return "\n".join([*aligned(rows), *notes])


def _cells(row: pd.Series, names: Sequence[str]) -> Iterator[str]:
    kind = str(row["editing_type_id"])
    yield f"{kind} {_TYPES[kind]}" if kind in _TYPES else kind
    yield str(row["n"])
    for name in names:
        value, empty = row[name], row[f"{name}_empty"]
        text = "-" if math.isnan(value) else f"{value:.{PIE_METRICS[name].digits}f}"
        yield f"{text} (-{empty})" if empty else text


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{key!r} is there twice")
    return dict(pairs)


def _item(path: Path, file_id: str, values: Any) -> PieItem:
    wanted = ("image_path", "editing_prompt", "editing_type_id", "mask")
    lacks = [key for key in wanted if not isinstance(values, dict) or key not in values]
    if lacks:
        raise ValueError(f"{path}: entry {file_id} lacks {', '.join(lacks)}")
    image, prompt, kind = values["image_path"], values["editing_prompt"], values["editing_type_id"]
    if not isinstance(image, str) or not isinstance(prompt, str):
        raise ValueError(f"{path}: entry {file_id}: image_path and editing_prompt must be texts")
    if Path(image).is_absolute() or ".." in Path(image).parts:
        raise ValueError(f"{path}: entry {file_id}: image_path must lead below the folders, got {image}")
    try:
        mask = decode_mask(values["mask"])
    except ValueError as error:
        raise ValueError(f"{path}: entry {file_id}: {error}") from error
    return PieItem(file_id, str(kind), image, prompt.replace("[", "").replace("]", ""), mask)


def _source(settings: PieSettings, item: PieItem) -> UInt8[Tensor, "3 512 512"]:
    path = settings.data / PICTURES / item.image_path
    picture = _load(path, item)
    if tuple(picture.shape) != (3, SIDE, SIDE):
        raise ValueError(f"{item.file_id}: {path} must be {SIDE} x {SIDE}, got {picture.shape[2]} x {picture.shape[1]}")
    return picture


def _edited(settings: PieSettings, item: PieItem) -> UInt8[Tensor, "3 512 512"]:
    path = settings.edited / item.image_path
    picture = _load(path, item)
    try:
        return take_edit(picture)
    except ValueError as error:
        raise ValueError(f"{item.file_id}: {path} {error}") from error


def _load(path: Path, item: PieItem) -> UInt8[Tensor, "3 height width"]:
    try:
        return load_picture(path)
    except OSError as error:
        raise ValueError(f"{item.file_id}: {path} cannot be read ({error.strerror or error})") from error
