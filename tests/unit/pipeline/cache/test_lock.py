"""One encode at a time, also where the file system grants its lock to everyone."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import psutil
import pytest

from pipeline.cache import lock
from pipeline.cache.checksums import CLAIMS, PROGRESS
from pipeline.cache.lock import Holder, check_owner, locked, owner
from pipeline.cache.objects import Objects
from pipeline.contract import ConfigError, ContractError


@pytest.fixture(autouse=True)
def _without_locks(monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    monkeypatch.setattr(lock, "WATCH_S", 0.4)
    monkeypatch.setattr(lock, "BEAT_S", 0.05)


@pytest.fixture(params=["folder", "memory", "s3"])
def location(request, tmp_path):
    if request.param == "s3":
        return request.getfixturevalue("s3")
    return str(tmp_path / "c") if request.param == "folder" else f"memory://{tmp_path.name}"


def leave(location, holder, number=1):
    """A claim as one leaves it who is killed."""
    objects = Objects(location)
    if objects.is_local:
        (objects.path / CLAIMS).parent.mkdir(parents=True, exist_ok=True)
    assert objects.create(f"{CLAIMS}{number}", json.dumps(asdict(holder)).encode())


def dead():
    """A process of this machine that is no more."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    process.communicate()
    return replace(Holder.this(), pid=process.pid, started=started)


def test_whoever_comes_second_is_refused_by_name(location):
    with locked(location) as claim:
        with pytest.raises(ConfigError, match=r"another encode \(process \d+ on \S+\): wait"):
            locked(location).__enter__()
        check_owner(Objects(location), claim.session)
    assert owner(Objects(location)) == ""
    assert not Objects(location).sizes().keys() - {".ledger/lock"}


def test_the_claim_of_a_process_that_is_no_more_is_taken_over(location):
    leave(location, before := dead(), number=4)
    with locked(location) as claim:
        assert claim.was_left
        assert owner(Objects(location)) == claim.session != before.session
        with pytest.raises(ContractError, match="was taken over by another encode"):
            check_owner(Objects(location), before.session)


def test_a_number_that_another_process_has_got_since_is_not_the_holder(location):
    leave(location, replace(Holder.this(), started=Holder.this().started - 1000))
    with locked(location) as claim:
        assert claim.was_left


def test_a_zombie_holds_nothing(location):
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(process.pid).create_time()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    leave(location, replace(Holder.this(), pid=process.pid, started=started))
    with locked(location):
        pass
    process.wait()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x00"])
def test_a_claim_that_cannot_be_read_counts_while_its_holder_says_something(location, content):
    objects = Objects(location)
    objects.write(f"{CLAIMS}1", content)
    objects.write(PROGRESS, b"0")
    with locked(location):
        pass


def test_a_holder_on_another_machine_counts_while_it_says_something(location, caplog):
    elsewhere = replace(Holder.this(), machine="other-host 1 2")
    leave(location, elsewhere)
    end = threading.Event()

    def beat():
        n = 0
        while not end.wait(0.02):
            Objects(location).write(PROGRESS, str(n := n + 1).encode())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(ConfigError, match=r"\(process \d+ on other-host\)"):
            locked(location).__enter__()
    finally:
        end.set()
        thread.join()
    with locked(location) as claim:
        assert claim.was_left
    assert "was being written on another machine: listening for" in caplog.text


@pytest.mark.parametrize("is_left", [True, False])
def test_of_many_who_come_at_once_one_gets_it_at_most(tmp_path, is_left):
    for turn in range(20):
        location = str(tmp_path / f"{turn}")
        (tmp_path / f"{turn}/.ledger").mkdir(parents=True)
        if is_left:
            leave(location, replace(Holder.this(), started=0.0))
        barrier, kept = threading.Barrier(6), threading.Event()

        def come(location=location, barrier=barrier, kept=kept):
            barrier.wait()
            try:
                with locked(location):
                    kept.wait()
            except ConfigError:
                return 0
            return 1

        with ThreadPoolExecutor(6) as pool:
            answers = [pool.submit(come) for _ in range(6)]
            end = time.monotonic() + 10
            while sum(answer.done() for answer in answers) < 5 and time.monotonic() < end:
                time.sleep(0.01)
            n_kept = sum(not answer.done() for answer in answers)
            kept.set()
        assert n_kept <= 1
        assert not [name for name in Objects(location).names(".ledger") if name != "lock"]
