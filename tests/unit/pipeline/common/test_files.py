"""Files that are there whole or not at all, and are held by one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.common.files import held, replacing


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "new")]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def half(place: Path) -> None:
        with replacing(place) as partial:
            partial.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        half(path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]


def test_a_lock_is_held_by_one_and_goes_with_its_holder(tmp_path: Path) -> None:
    with held(tmp_path / "lock", ValueError("first")):  # noqa: SIM117
        with pytest.raises(ValueError, match="second is refused"):
            with held(tmp_path / "lock", ValueError("second is refused")):
                pytest.fail("both hold it")
    with held(tmp_path / "lock", ValueError("third")):
        pass
