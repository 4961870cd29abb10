"""A new cache that is killed at any of its writes is finished by the same command."""

from collections.abc import Callable

import pytest

from pipeline.cache.objects import Objects
from tests.fabricate import arrays_of, assert_same_arrays, encode_here, record_ids, write_raw


class Killed(BaseException):
    """Like SIGKILL: nothing of ours handles it."""


class Countdown:
    """Kills at one of the writes and removals of objects, just before it or just after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n_left: int, *, after: bool) -> None:
        self.n_left, self.after = n_left, after
        for name in ("write", "delete"):
            monkeypatch.setattr(Objects, name, self._counted(getattr(Objects, name)))

    def _counted(self, act: Callable[..., None]) -> Callable[..., None]:
        def step(*arguments: object) -> None:
            self.n_left -= 1
            if self.n_left < 0 and not self.after:
                raise Killed
            act(*arguments)
            if self.n_left < 0:
                raise Killed

        return step


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_write_is_survived(after, tmp_path, monkeypatch):
    """Between zarr.json and the records nothing could go on; a late one left a note behind."""
    raw, whole = tmp_path / "raw", tmp_path / "whole"
    write_raw(raw, record_ids(2), modalities=("inertial",))
    encode_here(raw, whole)
    names = {p.relative_to(whole) for p in whole.rglob("*") if p.is_file()}
    for n_writes in range(100):
        cache = tmp_path / f"killed-{n_writes}"
        with monkeypatch.context() as patched:
            Countdown(patched, n_writes, after=after)
            try:
                encode_here(raw, cache)
                break
            except Killed:
                pass
        encode_here(raw, cache)
        assert_same_arrays(arrays_of(cache), arrays_of(whole))
        assert {p.relative_to(cache) for p in cache.rglob("*") if p.is_file()} == names
    assert 8 < n_writes < 100
