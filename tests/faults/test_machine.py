"""Disks that are full, folders that cannot be written, files that are broken or lost."""

import os
import shutil
import subprocess

import pytest

from sweeps.store import Store
from tests.faults.program import (
    IS_LONG,
    check,
    files,
    finish,
    long_form,
    parts,
    resume,
    stored,
    sweep,
    sweep_of,
    temporaries,
)

SIZES_K = (40, 80, 120, 180, 260, 360, 480) if IS_LONG else (180,)
"""Of a disk too small for the sweep: full when it is planned, drawn, stored or tabulated."""


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a small file system, or changes it."""
    where = tmp_path / "disk"
    where.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
        return where

    try:
        yield mount
    finally:
        while os.path.ismount(where):
            subprocess.run(["umount", str(where)], check=True)


@pytest.mark.parametrize("size_k", SIZES_K)
def test_a_full_disk_ends_the_command_and_leaves_nothing_half_written(disk, pipeline, undisturbed, size_k):
    folder = disk(f"size={size_k}k")
    running = sweep(folder, pipeline, undisturbed.seeds, logs=folder.parent)
    assert running.wait() == 2
    assert "No space left on device" in running.output.splitlines()[-1]
    assert temporaries(folder) == []
    drawn = len(stored(folder))
    disk("remount,size=64m")
    finish(folder, pipeline, undisturbed.seeds, logs=folder.parent)
    assert drawn < len(undisturbed.summary)
    check(folder, undisturbed.summary)


def test_a_folder_that_cannot_be_written_is_told_of_before_any_work(disk, pipeline, undisturbed):
    folder = disk("size=1m")
    sweep_of(folder).mkdir(parents=True)
    disk("remount,ro")
    running = sweep(folder, pipeline, undisturbed.seeds, logs=folder.parent)
    assert running.wait() == 2
    (line,) = running.output.splitlines()
    assert "cannot write to results/sweep (Read-only file system); choose another with results_dir=" in line


def test_what_is_broken_or_lost_is_drawn_again(tmp_path, pipeline, undisturbed):
    shutil.copytree(sweep_of(undisturbed.folder), sweep_of(tmp_path))
    first, second, third, fourth, *_ = parts(tmp_path)
    truncate(first)  # four cells that are not stored any more
    target, cycle, source, unread = (
        picture(tmp_path, part, kind, row)
        for part, kind, row in ((second, "target", 0), (second, "cycle", 1), (third, "source", 0), (fourth, "cycle", 3))
    )
    target.unlink()
    cycle.write_bytes(b"")
    source.unlink()
    truncate(unread)
    truncate(files(sweep_of(tmp_path) / "scores")[3])  # so that the broken picture is read
    resume(tmp_path, pipeline, undisturbed.seeds)
    check(tmp_path, undisturbed.summary, drawn_again=1 + 1 + 4 + 4)


@long_form
def test_what_is_broken_or_lost_of_archives_is_drawn_again(tmp_path, pipeline, undisturbed):
    finish(tmp_path, pipeline, undisturbed.seeds, "images.pack=true")
    broken, lost, *_ = files(sweep_of(tmp_path) / "images")
    truncate(broken)
    lost.unlink()
    resume(tmp_path, pipeline, undisturbed.seeds, "images.pack=true")
    check(tmp_path, undisturbed.summary, drawn_again=8)


def test_temporary_files_of_killed_commands_are_removed_when_they_are_old(tmp_path, pipeline, undisturbed):
    shutil.copytree(sweep_of(undisturbed.folder), sweep_of(tmp_path))
    names = (
        ".summary.parquet.a1b2c3_4",
        "images/target/.x.png.0123abcd",
        "images/.keep",
        "edits/.new.parquet.12345678",
    )
    old, older, foreign, new = (sweep_of(tmp_path) / name for name in names)
    for path in (old, older, foreign, new):
        path.write_bytes(b"half")
    for path in (old, older, foreign):
        os.utime(path, (1, 1))
    finish(tmp_path, pipeline, undisturbed.seeds)
    assert set(temporaries(tmp_path)) == {foreign, new}  # a living command may be writing the new one


def truncate(path):
    """Cut a file in half."""
    os.truncate(path, path.stat().st_size // 2)


def picture(folder, part, kind, row):
    """The file of a picture of a row of a part."""
    rows = Store(sweep_of(folder)).read("edits", parts=[part.name])
    return sweep_of(folder) / rows[f"{kind}_image"][row].as_py()
