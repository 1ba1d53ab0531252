import errno
import os
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from metrics.score import Score
from sweeps.pictures import ImageSettings, pixel_hash
from sweeps.store import EDITS, HASHES, Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def picture(seed=0):
    return torch.randint(0, 256, (3, 16, 16), generator=torch.manual_seed(seed), dtype=torch.uint8)


def row(cell_id="a", status="ok", minutes=0, **values):
    return {
        "cell_id": cell_id,
        "status": status,
        "created_at": NOW + timedelta(minutes=minutes),
        "category": "faces",
        "pair": "blond_to_red",
        "seed": 0,
        "config_id": "c",
        **values,
    }


def score(cell_id="a", metric="lpips", version=1, value=0.5):
    return Score(cell_id, metric, version, "vgg", value, None)


@pytest.fixture
def store(tmp_path) -> Store:
    return prepared(tmp_path)


def prepared(folder, **images) -> Store:
    store = Store(folder / "sweep", ImageSettings(**images))
    store.prepare()
    return store


def draw(store: Store, part: str, cells) -> dict[str, dict[str, str]]:
    """Store a group's pictures and rows, as a worker does."""
    pictures = {("source", part): picture(99), **{("target", cell): picture(i) for i, cell in enumerate(cells)}}
    paths = store.save_pictures(part, pictures)
    images = {cell: {"source_image": paths["source", part], "target_image": paths["target", cell]} for cell in cells}
    store.append_edits(part, [row(cell, **images[cell]) for cell in cells])
    return images


def part_of(store: Store, table="edits", at=-1):
    return sorted((store.folder / table).iterdir())[at]


@pytest.mark.parametrize("format", ["png", "webp"])
@pytest.mark.parametrize("pack", [False, True])
def test_drawn_cells_are_done_and_their_pictures_return_exactly(tmp_path, format, pack):
    store = prepared(tmp_path, format=format, pack=pack)
    images = draw(store, "group", ["a", "b", "c"])
    assert store.done() == {"a", "b", "c"}
    for reader in (store, Store(store.folder)):
        assert torch.equal(reader.load_picture(images["b"]["target_image"]), picture(1))
        assert torch.equal(reader.load_picture(images["b"]["source_image"]), picture(99))


def test_a_single_picture_is_a_file_of_its_own_even_where_parts_are_packed(tmp_path):
    store = prepared(tmp_path, pack=True)
    path = store.save_picture("target", "a", picture())
    assert path == "images/target/a.png"
    assert torch.equal(store.load_picture(path), picture())


def test_cells_without_kept_pictures_are_done(store):
    store.append_edits("group", [row("a"), row("b", "failed"), row("c", "skipped")])
    assert store.done() == {"a"}
    assert Store(store.folder / "nothing").done() == set()


def test_cells_whose_pictures_are_lost_or_empty_are_not_done(store):
    images = draw(store, "group", ["a", "b", "c"])
    (store.folder / images["a"]["target_image"]).unlink()
    (store.folder / images["b"]["target_image"]).write_bytes(b"")
    assert store.done() == {"c"}
    (store.folder / images["c"]["source_image"]).unlink()
    assert store.done() == set()


def test_cells_of_a_truncated_or_lost_archive_are_not_done_and_others_are(tmp_path, capsys):
    store = prepared(tmp_path, pack=True)
    images = {part: draw(store, part, [part]) for part in ("a", "b", "c")}
    archives = {part: next(store.folder.glob(f"images/{part}-*.zip")) for part in images}
    archives["a"].write_bytes(archives["a"].read_bytes()[:-10])
    archives["b"].unlink()
    assert store.done() == {"c"}
    assert f"{archives['a']}: unreadable" in capsys.readouterr().err
    assert draw(store, "a", ["a"]) == images["a"]
    assert store.done() == {"a", "c"}, "drawn again"


def test_a_member_that_an_archive_lacks_is_not_done(tmp_path):
    store = prepared(tmp_path, pack=True)
    images = draw(store, "group", ["a", "b"])
    lacking = images["a"]["target_image"].replace("/a.png", "/z.png")
    store.append_edits("group", [row("z", **{**images["a"], "target_image": lacking})])
    assert store.done() == {"a", "b"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:-8],
        lambda data: data[: len(data) // 4] + bytes(200) + data[len(data) // 4 + 200 :],
        lambda data: b"not parquet" * 100,
    ],
)
@pytest.mark.parametrize("table", ["edits", "scores"])
def test_a_damaged_part_is_named_once_and_left_out_and_left_there(store, capsys, damage, table):
    for cell in ("a", "b"):
        store.append_edits("group", [row(cell, error="x" * i) for i in range(50)])
        store.append_scores("group", [score(cell, f"metric{i}", value=float(i)) for i in range(50)])
    part = part_of(store, table)
    part.write_bytes(damage(part.read_bytes()))
    for _ in range(2):
        assert set(getattr(store, table)()["cell_id"]) == {"a"}
    assert store.done() == ({"a"} if table == "edits" else {"a", "b"})
    what = "its cells are computed again" if table == "edits" else "its cells are scored again"
    lines = capsys.readouterr().err.splitlines()
    assert {line.partition(": unreadable (")[0] for line in lines} == {str(part)}
    assert all(line.endswith(f"); skipped, {what}") for line in lines)
    assert len(lines) == len(set(lines))
    assert part.exists()


def test_a_part_of_something_else_is_left_out(store, capsys):
    store.append_edits("group", [row("a")])
    pq.write_table(pa.table({"other": [1]}), store.folder / "edits" / "00000000000000000001-x-1.parquet")
    pq.write_table(
        pa.table({"cell_id": ["b"], "seed": ["x"]}), store.folder / "edits" / "00000000000000000002-x-1.parquet"
    )
    assert list(store.edits()["cell_id"]) == ["a"]
    assert "no column cell_id" in capsys.readouterr().err


def test_rows_of_older_versions_have_nulls_in_newer_columns(store):
    older = pa.schema([field for field in EDITS if field.name not in (*HASHES, "git_commit")])
    rows = pa.Table.from_pylist([row("old"), row("both")], schema=older)
    pq.write_table(rows, store.folder / "edits" / "00000000000000000001-old-1.parquet")
    store.append_edits("new", [row("new", target_hash=pixel_hash(picture())), row("both", target_hash="f" * 16)])
    edits = store.edits().set_index("cell_id")
    assert list(edits.columns) == [name for name in EDITS.names if name != "cell_id"]
    assert edits.loc["old", list(HASHES)].isna().all()
    assert edits.loc["new", "target_hash"] == pixel_hash(picture())
    assert edits.loc["both", "target_hash"] == "f" * 16
    assert store.done() == {"old", "new", "both"}
    assert list(store.write_summary()["target_hash"].isna()) == [False, False, True]


def test_columns_of_later_versions_are_ignored_and_their_order_does_not_matter(store):
    schema = pa.schema([pa.field("later", pa.int64()), *reversed(EDITS)])
    rows = pa.Table.from_pylist([{**row("a"), "later": 1}], schema=schema)
    pq.write_table(rows, store.folder / "edits" / "00000000000000000001-later-1.parquet")
    assert list(store.edits().columns) == EDITS.names
    assert store.done() == {"a"}


def test_of_several_rows_of_a_cell_the_newest_counts_whatever_its_part_is_called(store):
    store.append_edits("z", [row("a", "ok", minutes=2)])
    store.append_edits("a", [row("a", "failed", minutes=1)])
    assert list(store.edits()["status"]) == ["ok"]
    store.append_edits("a", [row("a", "failed", minutes=3)])
    assert store.done() == set()


def test_of_rows_of_the_same_time_the_last_part_s_counts_and_rows_without_time_are_oldest(store):
    for name, status in (("2-a-1", "failed"), ("1-z-9", "ok")):
        rows = pa.Table.from_pylist([row("a", status)], schema=EDITS)
        pq.write_table(rows, store.folder / "edits" / f"0000000000000000000{name}.parquet")
    assert list(store.edits()["status"]) == ["failed"]
    rows = pa.Table.from_pylist([row("a", "ok", created_at=None)], schema=EDITS)
    pq.write_table(rows.drop_columns("created_at"), store.folder / "edits" / "00000000000000000003-a-1.parquet")
    store.append_edits("later", [row("a", "ok", created_at=None)])
    assert list(store.edits()["status"]) == ["failed"]


def test_many_parts_return_every_row_in_order(store):
    for i in range(200):
        store.append_edits(f"g{i}", [row(f"cell{i}", minutes=i)])
        store.append_scores(f"g{i}", [score(f"cell{i}", value=float(i))])
    assert list(store.edits()["cell_id"]) == [f"cell{i}" for i in range(200)]
    assert list(store.scores()["value"]) == [float(i) for i in range(200)]


def test_the_newest_version_of_a_score_counts_and_then_the_last(store):
    store.append_scores("g", [score(version=2, value=0.2), score("b", value=0.1)])
    store.append_scores("g", [score(version=1, value=0.3), score("b", value=0.4)])
    assert dict(store.scores().set_index("cell_id")["value"]) == {"a": 0.2, "b": 0.4}


def test_the_summary_joins_edits_and_scores(store):
    store.append_edits("g", [row("a"), row("b")])
    store.append_scores("g", [score("a"), score("a", "ssim", value=0.9)])
    summary = store.write_summary().set_index("cell_id")
    assert summary.loc["a", ["lpips", "ssim"]].tolist() == [0.5, 0.9]
    assert summary.loc["b", ["lpips", "ssim"]].isna().all()
    assert list(pd.read_parquet(store.summary_path)["cell_id"]) == ["a", "b"]


def test_unfinished_files_are_not_read(store):
    store.append_edits("g", [row("a")])
    (store.folder / "edits" / ".00000000000000000001-g-1.parquet.x1").write_bytes(b"half")
    assert store.done() == {"a"}


@pytest.mark.parametrize("pack", [False, True])
def test_a_full_disk_leaves_the_store_as_it_was(tmp_path, monkeypatch, pack):
    store = prepared(tmp_path, pack=pack)
    draw(store, "first", ["a"])
    before = sorted(store.folder.rglob("*"))

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        draw(store, "second", ["b", "c"])
    with pytest.raises(OSError, match="No space left"):
        store.append_edits("second", [row("b")])
    assert sorted(store.folder.rglob("*")) == before
    monkeypatch.undo()
    assert store.done() == {"a"}


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="results_dir: cannot write to .*; choose another"):
        Store(tmp_path / "file" / "sweep").prepare()


def test_a_summary_is_read_without_the_parts_it_was_made_of(store, tmp_path):
    store.append_edits("part", [row("a")])
    written = store.write_summary()
    for part in (store.folder / "edits").glob("*.parquet"):
        part.unlink()
    assert store.read_summary()["cell_id"].tolist() == written["cell_id"].tolist() == ["a"]
    with pytest.raises(ValueError, match="is not the folder of a sweep that has begun; it is results/<sweep>"):
        Store(tmp_path / "nowhere").read_summary()
