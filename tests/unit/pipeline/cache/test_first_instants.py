"""A new cache that is killed at any of its writes is finished by the same command."""

import os
import threading
from collections.abc import Callable

import pytest

from pipeline.cache.objects import Objects
from tests.fabricate import arrays_of, assert_same_arrays, encode_here, record_ids, write_raw

KILLED = 9


class Countdown:
    """Ends the process at one of the writes and removals of objects, before it or after it."""

    def __init__(self, n_left: int, *, after: bool) -> None:
        self.n_left, self.after = n_left, after
        for name in ("create", "write", "delete"):
            setattr(Objects, name, self._counted(getattr(Objects, name)))

    def _counted(self, act: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object) -> object:
            if threading.current_thread() is not threading.main_thread():
                return act(*arguments)  # the claim's own note has no fixed place among the others
            self.n_left -= 1
            if self.n_left < 0 and not self.after:
                os._exit(KILLED)
            answer = act(*arguments)
            if self.n_left < 0:
                os._exit(KILLED)
            return answer

        return step


def in_a_process(work: Callable[[], object]) -> int:
    """Run something in a copy of this process, and say how that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_write_is_survived(after, tmp_path):
    """Between zarr.json and the records nothing could go on; a late one left a note behind."""
    raw, whole = tmp_path / "raw", tmp_path / "whole"
    write_raw(raw, record_ids(2), modalities=("inertial",))
    encode_here(raw, whole)
    names = {p.relative_to(whole) for p in whole.rglob("*") if p.is_file()}
    for n_writes in range(100):
        cache = tmp_path / f"killed-{n_writes}"

        def work(cache=cache, n_writes=n_writes):
            Countdown(n_writes, after=after)
            encode_here(raw, cache)

        if (code := in_a_process(work)) == 0:
            break
        assert code == KILLED
        encode_here(raw, cache)
        assert_same_arrays(arrays_of(cache), arrays_of(whole))
        assert {p.relative_to(cache) for p in cache.rglob("*") if p.is_file()} == names
    assert 8 < n_writes < 100
