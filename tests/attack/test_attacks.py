"""A short form of ``make attack``, without what fails today: that is open in its list of items."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import scipy.io

from tests.attack.__main__ import families
from tests.attack.bench import Bench
from tests.attack.command import preload
from tests.attack.family import attempt
from tests.attack.mutants import mutated_files
from tests.attack.outcome import BAD, WRONG

SHORT = {name: family for name, family in families().items() if family.n_short}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    os.environ |= dict.fromkeys(before, "1")
    preload()
    yield Bench(tmp_path_factory.mktemp("bench"))
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.mark.parametrize("name", SHORT)
def test_an_attack_is_met_with_the_right_result_or_a_refusal(
    bench: Bench, name: str, tmp_path: Path
):
    family = SHORT[name]
    found = [each for i in range(family.n_short) for each in attempt(family, bench, 0, i, tmp_path)]
    assert found
    assert [each.note for each in found if each.verdict in BAD] == []


def test_a_number_changed_without_a_word_counts_as_wrong(bench: Bench, tmp_path: Path):
    def scaled(_: object, content: bytes) -> bytes:
        path = tmp_path / "one.mat"
        path.write_bytes(content)
        found = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}
        scipy.io.savemat(path, {k: v * 0.5 for k, v in found.items()}, do_compression=True)
        return path.read_bytes()

    def unreadable(*_: object) -> bool:
        return False

    outcomes = mutated_files(
        random.Random(0), tmp_path, bench.raw, bench.cache, "utd-mhad", "_inertial.mat", (),
        unreadable, scaled,
    )  # fmt: skip
    assert {each.verdict for each in outcomes} == {WRONG}
