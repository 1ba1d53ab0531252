import json
import multiprocessing
import os
import time

import pytest

from sweeps import claims as module
from sweeps.claims import Claims


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "claims"


def test_a_claim_is_one_worker_s_until_it_is_released(folder):
    with Claims(folder) as one, Claims(folder) as other:
        with one.claim("a") as mine:
            assert mine
            with other.claim("a") as theirs:
                assert not theirs
            assert one.holders()["a"]["pid"] == os.getpid()
        with other.claim("a") as theirs:
            assert theirs
        assert one.holders() == {}
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def take_and_die(folder):
    with Claims(folder) as claims, claims.claim("a"):
        os._exit(9)


def test_a_killed_worker_s_claim_is_taken_over_at_once(folder):
    process = multiprocessing.get_context("fork").Process(target=take_and_die, args=(folder,))
    process.start()
    process.join()
    assert list(folder.glob("a.*"))
    with Claims(folder) as claims:
        assert claims.holders() == {}
        with claims.claim("a") as mine:
            assert mine
            assert [path.name for path in sorted(folder.glob("a.*"))] == ["a.000001", "a.000002"]
    assert not list(folder.glob("a.*"))


@pytest.fixture
def foreign(folder):
    """A worker of another machine has claimed `a`."""
    (folder / "workers").mkdir(parents=True)
    sign = folder / "workers" / "other-1-x.json"
    sign.write_text(json.dumps({"host": "other", "space": "?", "pid": 1, "started": "1"}))
    (folder / "a.000001").write_text("other-1-x")
    return sign


def test_a_worker_elsewhere_counts_as_gone_when_it_is_silent(folder, foreign):
    with Claims(folder) as claims:
        with claims.claim("a") as mine:
            assert not mine
        silent = time.time() - module.EXPIRY_S - 60
        os.utime(foreign, (silent, silent))
        with claims.claim("a") as mine:
            assert mine


def test_of_two_that_take_over_one_wins(folder, foreign):
    silent = time.time() - module.EXPIRY_S - 60
    os.utime(foreign, (silent, silent))
    with Claims(folder) as one, Claims(folder) as other, one.claim("a") as mine, other.claim("a") as theirs:
        assert (mine, theirs) == (True, False)


def test_life_is_shown_while_a_worker_works(folder, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    with Claims(folder) as claims:
        (sign,) = (folder / "workers").glob("*.json")
        os.utime(sign, (1, 1))
        deadline = time.time() + 5
        while sign.stat().st_mtime == 1 and time.time() < deadline:
            time.sleep(0.01)
        assert sign.stat().st_mtime > 1
        assert claims.worker in sign.name


def test_what_dead_workers_left_is_removed(folder, foreign):
    silent = time.time() - module.EXPIRY_S - 60
    os.utime(foreign, (silent, silent))
    Claims(folder).sweep_dead()
    assert [path for path in folder.rglob("*") if path.is_file()] == []
