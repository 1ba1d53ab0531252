import errno
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from sweeps import pictures
from sweeps.pictures import (
    ImageSettings,
    encode,
    estimate_bytes,
    load_image,
    load_picture,
    pixel_hash,
    present,
    write_archive,
    write_loose,
)

PNG = ImageSettings()


def noise(seed=0, height=24, width=40):
    return torch.randint(0, 256, (3, height, width), generator=torch.manual_seed(seed), dtype=torch.uint8)


def smooth(height=64, width=64):
    rows, columns = torch.linspace(0, 255, height)[:, None], torch.linspace(0, 255, width)[None]
    return torch.stack([rows.expand(height, width), columns.expand(height, width), (rows + columns) / 2]).to(
        torch.uint8
    )


def group(cells=3):
    edits = {
        (kind, f"cell{i}"): noise(i + 10 * (kind == "cycle")) for i in range(cells) for kind in ("target", "cycle")
    }
    return {("source", "group"): noise(99), **edits}


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def write(folder, settings, these=None, part="part"):
    these = group() if these is None else these
    if settings.pack:
        return write_archive(folder, part, these, settings)
    return write_loose(folder, these, settings)


@pytest.fixture(params=[False, True], ids=["loose", "packed"])
def pack(request) -> bool:
    return request.param


@pytest.fixture
def full_disk(monkeypatch):
    """After so many files are synced, the disk is full."""

    def make(after):
        calls = []

        def fsync(handle):
            calls.append(handle)
            if len(calls) > after:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", fsync)

    return make


@pytest.mark.parametrize("format", ["png", "webp"])
@pytest.mark.parametrize("picture", [noise(), noise(1, 512, 512), smooth(), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_png_and_webp_return_every_byte(tmp_path, format, picture, pack):
    settings = ImageSettings(format=format, pack=pack)
    paths = write(tmp_path, settings, {("target", "cell"): picture})
    loaded = load_picture(tmp_path / paths["target", "cell"])
    assert loaded.dtype == torch.uint8
    assert torch.equal(loaded, picture)


def test_jpeg_is_near_keeps_the_full_color_resolution_and_grows_with_quality(tmp_path):
    low, high = (ImageSettings(format="jpeg", quality=quality) for quality in (50, 95))
    paths = write(tmp_path, high, {("target", "cell"): smooth()})
    assert (load_picture(tmp_path / paths["target", "cell"]).int() - smooth().int()).abs().max() <= 4
    with Image.open(tmp_path / paths["target", "cell"]) as image:
        assert image.format == "JPEG"
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    assert len(encode(noise(), low)) < len(encode(noise(), high))


def test_paths_are_recorded_by_kind_and_name(tmp_path):
    assert write(tmp_path, PNG)["target", "cell1"] == "images/target/cell1.png"
    packed = write(tmp_path, ImageSettings(format="webp", pack=True))
    archive, _, member = packed["target", "cell1"].partition(".zip/")
    assert archive.startswith("images/part-")
    assert member == "target/cell1.webp"
    with zipfile.ZipFile(tmp_path / f"{archive}.zip") as opened:
        assert len(opened.infolist()) == 7
        assert {info.compress_type for info in opened.infolist()} == {zipfile.ZIP_STORED}


def test_all_pictures_of_a_part_return_in_any_order_and_from_several_threads(tmp_path, pack):
    these = group(40)
    paths = write(tmp_path, ImageSettings(pack=pack), these)
    assert list(paths) == list(these)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda key: load_picture(tmp_path / paths[key]), these))
    assert all(torch.equal(one, these[key]) for one, key in zip(loaded, these, strict=True))


def test_a_part_drawn_again_replaces_its_archive_and_other_cells_of_it_do_not(tmp_path):
    settings = ImageSettings(pack=True)
    one, other = {("target", "a"): noise(0)}, {("target", "b"): noise(1)}
    first, second = write(tmp_path, settings, one), write(tmp_path, settings, other)
    assert torch.equal(load_picture(tmp_path / first["target", "a"]), noise(0))
    assert torch.equal(load_picture(tmp_path / second["target", "b"]), noise(1))
    again = write(tmp_path, settings, {("target", "a"): noise(2)})
    assert again == first
    assert torch.equal(load_picture(tmp_path / first["target", "a"]), noise(2)), "not from the archive opened before"
    assert len(files(tmp_path)) == 2


def test_only_some_archives_stay_open(tmp_path):
    settings = ImageSettings(pack=True)
    paths = [write(tmp_path, settings, {("target", "a"): noise(i)}, part=f"part{i}")["target", "a"] for i in range(40)]
    assert all(torch.equal(load_picture(tmp_path / path), noise(i)) for i, path in enumerate(paths))
    assert pictures._archive.cache_info().currsize <= pictures._OPEN_ARCHIVES


def test_no_pictures_make_no_files(tmp_path, pack):
    assert write(tmp_path, ImageSettings(pack=pack), {}) == {}
    assert files(tmp_path) == []


@pytest.mark.parametrize("synced", [0, 2])
def test_a_full_disk_leaves_what_was_there_and_nothing_half(tmp_path, pack, full_disk, synced):
    settings = ImageSettings(pack=pack)
    write(tmp_path, settings, {("target", "cell0"): noise(7)}, part="before")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    full_disk(0 if pack else synced)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, settings)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_a_disk_that_fills_inside_an_archive_leaves_nothing_half(tmp_path, monkeypatch):
    taken = []

    def full(picture, settings):
        taken.append(picture)
        if len(taken) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return b"some bytes"

    monkeypatch.setattr(pictures, "encode", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, ImageSettings(pack=True), group(60))
    assert files(tmp_path) == []
    assert len(taken) < 121, "the rest is not encoded"


def test_folders_that_cannot_be_synced_are_no_failure_and_other_errors_are(tmp_path, monkeypatch):
    fsync = os.fsync

    def on_folders(number):
        def sync(handle):
            if Path(f"/proc/self/fd/{handle}").resolve().is_dir():
                raise OSError(number, os.strerror(number))
            fsync(handle)

        return sync

    monkeypatch.setattr(os, "fsync", on_folders(errno.EINVAL))
    assert len(write(tmp_path, PNG)) == 7
    monkeypatch.setattr(os, "fsync", on_folders(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        write(tmp_path, PNG)


def test_files_have_ordinary_permissions(tmp_path, pack):
    path = write(tmp_path, ImageSettings(pack=pack))["source", "group"]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    file = tmp_path / path.partition(".zip/")[0]
    assert (file if file.is_file() else Path(f"{file}.zip")).stat().st_mode == plain.stat().st_mode


def test_what_is_missing_or_broken_is_named(tmp_path):
    paths = write(tmp_path, ImageSettings(pack=True))
    archive = tmp_path / (paths["source", "group"].partition(".zip/")[0] + ".zip")
    for missing in ("images/target/lost.png", "images/lost.zip/target/a.png", f"images/{archive.name}/target/lost.png"):
        with pytest.raises(FileNotFoundError):
            load_image(tmp_path / missing)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(OSError, match="broken.png cannot be read as a picture"):
        load_image(tmp_path / "broken.png")
    whole = archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        at = opened.getinfo("source/group.png").header_offset + 200
    archive.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    with pytest.raises(OSError, match="group.png cannot be read as a picture .Bad CRC"):
        load_image(tmp_path / paths["source", "group"])
    assert load_image(tmp_path / paths["target", "cell0"]).size == (40, 24), "the others are whole"
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match="cannot be read as a picture"):
        load_image(tmp_path / paths["source", "group"])


def test_what_is_there_is_found_loose_and_packed(tmp_path):
    paths = {*write(tmp_path, PNG).values(), *write(tmp_path, ImageSettings(pack=True)).values()}
    lost = {"images/target/lost.png", "images/lost.zip/target/a.png", "images/nowhere/a.png"}
    lost |= {path.replace("cell0", "cell9") for path in paths if "cell0" in path}
    assert present(tmp_path, paths | lost) == paths
    assert present(tmp_path, []) == set()


def test_empty_pictures_and_broken_archives_count_as_missing(tmp_path, capsys):
    paths = write(tmp_path, PNG)
    (tmp_path / paths["target", "cell0"]).write_bytes(b"")
    assert present(tmp_path, paths.values()) == {*paths.values()} - {paths["target", "cell0"]}
    packed = write(tmp_path, ImageSettings(pack=True))
    archive = tmp_path / (packed["source", "group"].partition(".zip/")[0] + ".zip")
    for broken in (archive.read_bytes()[:-40], b""):
        archive.write_bytes(broken)
        assert present(tmp_path, packed.values()) == set()
        assert f"{archive}: unreadable" in capsys.readouterr().err
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("source/group.png", b"")
        opened.writestr("target/cell1.png", b"x")
    assert present(tmp_path, packed.values()) == {packed["target", "cell1"]}


def test_every_folder_is_listed_once(tmp_path, monkeypatch):
    paths = write(tmp_path, PNG, group(30))
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    assert len(present(tmp_path, paths.values())) == 61
    assert sorted(path.name for path in listed) == ["cycle", "source", "target"]


def test_a_hash_is_of_size_and_pixels(tmp_path):
    assert pixel_hash(torch.arange(192, dtype=torch.uint8).reshape(3, 8, 8)) == "6c6ed41a3e9a3b71"
    assert pixel_hash(noise()) == pixel_hash(noise().permute(1, 2, 0).contiguous().permute(2, 0, 1))
    changed = noise()
    changed[2, 3, 4] ^= 1
    flat = noise(0, 1, 24 * 40)
    assert len({pixel_hash(one) for one in (noise(), changed, flat, flat.reshape(3, 24, 40).transpose(1, 2))}) == 4
    for settings in (PNG, ImageSettings(format="webp")):
        path = write(tmp_path, settings, {("target", "a"): noise()})["target", "a"]
        assert pixel_hash(load_picture(tmp_path / path)) == pixel_hash(noise())


@pytest.mark.parametrize("picture", [torch.zeros(3, 8, 8), torch.zeros(8, 8, 3, dtype=torch.uint8)])
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(ValueError, match="must be uint8 .3, height, width., got"):
        encode(picture, PNG)


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "a.zip"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name, pack):
    with pytest.raises(ValueError, match="names are letters"):
        write(tmp_path, ImageSettings(pack=pack), {("target", "a"): noise(), (name, "a"): noise()})
    with pytest.raises(ValueError, match="names are letters"):
        write_archive(tmp_path, name, group(), PNG)
    assert files(tmp_path) == []


def test_a_sample_is_a_share_of_the_groups_and_always_the_same():
    groups = [f"{i:016x}" for i in range(2000)]
    sampled = {share: ImageSettings(keep="sample", sample=share) for share in (0.1, 0.3)}
    kept = {share: {one for one in groups if settings.keeps(one)} for share, settings in sampled.items()}
    assert abs(len(kept[0.1]) - 200) < 45
    assert abs(len(kept[0.3]) - 600) < 65
    assert kept[0.1] < kept[0.3]
    assert [i for i in range(30) if groups[i] in kept[0.1]] == [2, 10, 15, 21]
    assert all(ImageSettings(keep="sample", sample=1).keeps(one) for one in groups)
    assert all(ImageSettings(keep="all", sample=0.1).keeps(one) for one in groups)
    assert not any(ImageSettings(keep="none").keeps(one) for one in groups)


def test_bytes_are_estimated_from_format_and_share():
    raw = 512 * 512 * 3
    assert estimate_bytes(PNG, 512, 512, 1000) == round(580 * raw)
    assert estimate_bytes(ImageSettings(format="webp"), 512, 512, 1000) == round(460 * raw)
    assert estimate_bytes(ImageSettings(format="jpeg", quality=95), 512, 512, 1000) == round(210 * raw)
    by_quality = [estimate_bytes(ImageSettings(format="jpeg", quality=one), 512, 512, 1) for one in range(50, 101)]
    assert by_quality == sorted(by_quality)
    assert estimate_bytes(ImageSettings(keep="sample", sample=0.5), 512, 512, 1000) == round(290 * raw)
    assert estimate_bytes(ImageSettings(keep="none"), 512, 512, 1000) == 0


def test_settings_come_from_plain_values():
    values = {"format": "webp", "keep": "sample", "sample": 1, "pack": True, "quality": 90}
    assert ImageSettings.from_mapping(values) == ImageSettings("webp", "sample", 1, True, 90)
    assert ImageSettings.from_mapping({}) == PNG


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"formt": "png"}, "unknown key images.formt; did you mean images.format?"),
        ({"format": "tiff"}, "images.format must be one of png, webp, jpeg, got 'tiff'"),
        ({"keep": "some"}, "images.keep must be one of all, sample, none, got 'some'"),
        ({"sample": 0}, r"images.sample must be a share of the groups in \(0, 1\], got 0"),
        ({"sample": float("nan")}, "images.sample must be"),
        ({"sample": True}, "images.sample must be"),
        ({"sample": "0.1"}, "images.sample must be"),
        ({"pack": 1}, "images.pack must be true or false, got 1"),
        ({"quality": 0}, "images.quality must be a whole number from 1 to 100, got 0"),
        ({"quality": 95.0}, "images.quality must be"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ImageSettings.from_mapping(values)


def test_webp_is_refused_where_pillow_lacks_it(monkeypatch):
    monkeypatch.setattr(pictures.features, "check", lambda name: False)
    with pytest.raises(ValueError, match="choose png"):
        ImageSettings.from_mapping({"format": "webp"})
