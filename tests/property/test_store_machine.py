"""A cache against a plain dictionary, through kills, power cuts, damage and second writers.

Every rule is a command that may be ended at one of its writes, with or without the power, or be
met by a second writer; then it is run again to its end. Whoever reads in between gets what was
there before, what is to be, or a refusal. What this found is kept by name below.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from pipeline.cache.checksums import EDIT, LOCK
from pipeline.cache.description import SPEC
from pipeline.cache.edit.drop import drop
from pipeline.cache.edit.merge import merge
from pipeline.cache.edit.relabel import Change, relabel
from pipeline.cache.edit.subset import subset
from pipeline.cache.objects import Objects
from pipeline.cache.verify import verify
from pipeline.common.cores import n_cores
from pipeline.contract import ConfigError, ContractError
from tests.simulated_disk import Disk, Ended, end, files_of, watched
from tests.store_life import (
    CLASSES,
    MODALITIES,
    Life,
    Trial,
    World,
    contents_of,
    deeds_of,
    encode,
    lives,
    read,
    record_id,
    stored,
    traces_of,
)

MEMORY = Path("/dev/shm")
CI_STEPS = 2000
STEPS = int(os.environ.get("DMFT_STORE_STEPS", "100000"))
"""Of the slow test."""
BATCH = 1200
"""Steps that a process does before it says that all is well."""
FIRST_SEED = int(os.environ.get("DMFT_STORE_SEED", "0"))

fates = st.lists(
    st.tuples(
        st.sampled_from(["kill", "power", "power", "second"]),
        st.integers(1, 600),
        st.integers(0, 2**16),
    ),
    max_size=2,
)
"""What happens, before which write, and the seed of what a power cut takes."""
Fates = list[tuple[str, int, int]]
MANY = 5
"""Records of a cache that gets no more: they fill three chunks."""
BEFORE_THE_LOCK = 8
"""Writes of a command at most until it holds the cache: folders, the lock and the claim."""


class StoreMachine(RuleBasedStateMachine):
    """One cache, from its first encode on."""

    def __init__(self) -> None:
        super().__init__()
        place = MEMORY if os.access(MEMORY, os.W_OK) else None
        self.at = Path(tempfile.mkdtemp(prefix="dmft-store-", dir=place))
        self.root = self.at / "disk"
        self.root.mkdir()
        self.disk = Disk(self.root)
        self.cache = self.root / "c"
        self.world: World = {}
        self.modalities: tuple[str, ...] = ()
        self.n_ever = 0
        self.gone: dict[str, int] = {}
        """Records that were dropped, and how often they had been recorded."""
        self.deeds: list[str] = []
        """Edits that the cache must tell of."""
        self.stack = lives()
        self.stack.__enter__()

    def teardown(self) -> None:
        if self.world:  # as the trainer reads it, too
            assert read(self.cache) == contents_of(self.world, self.modalities)
        self.stack.__exit__(None, None, None)
        shutil.rmtree(self.at, ignore_errors=True)

    # -- what is done, and what may happen meanwhile ---------------------------------------------

    def do(
        self,
        act: Callable[[], object],
        world: World,
        modalities: tuple[str, ...],
        happening: Fates,
        place: Path | None = None,
    ) -> None:
        """Do something whatever happens, to its end; the cache is then what ``world`` says."""
        place = place or self.cache
        before = contents_of(self.world, self.modalities) if place == self.cache else None
        after = contents_of(world, modalities)
        for what, number, chance in happening:
            refused: list[bool] = []
            meet = end
            if what == "second":
                number = max(number, BEFORE_THE_LOCK + 1)
                meet = lambda refused=refused: refused.append(self._is_refused(place))  # noqa: E731
            try:
                with watched(self.disk, number, meet):
                    act()
            except Ended:
                Life.number += 1
                if what == "power":
                    self.disk.lose_power(chance)
                with contextlib.suppress(ContractError):
                    assert read(place) in (before, after)
            else:
                assert all(refused)
                break
        else:
            with watched(self.disk):
                act()
        assert stored(place) == after
        assert verify(str(place), full=True).findings == ()
        if place == self.cache:
            self.world, self.modalities = dict(world), modalities
            self._no_trace()
            assert deeds_of(place) == self.deeds

    def _is_refused(self, place: Path) -> bool:
        """Whether another writer is, who comes while the first is at work."""
        try:
            encode(place, {record_id(0): Trial(0, 0)}, MODALITIES)
        except ConfigError as error:
            return "is being written by another encode" in str(error)
        return False

    def _no_trace(self) -> None:
        if not self.gone:
            return
        there = b"".join(files_of(self.cache).values())
        for record, takes in self.gone.items():
            assert not [trace for trace in traces_of(record, takes) if trace in there], record

    def encode(self, world: World, modalities: tuple[str, ...], happening: Fates) -> None:
        """``dmft encode``."""
        wanted = tuple(sorted({*modalities, *self.modalities}))
        self.do(lambda: encode(self.cache, world, wanted), world, wanted, happening)

    def make(self, act: Callable[[str], object], world: World, happening: Fates) -> None:
        """Make a cache of this one, which stays as it is, whatever happens."""
        out = self.root / "out"
        before = files_of(self.cache)
        self.do(lambda: act(str(out)), world, self.modalities, happening, place=out)
        assert files_of(self.cache) == before
        shutil.rmtree(out)
        self.disk.has(out)

    def _new_records(self, n: int) -> World:
        first = self.n_ever
        self.n_ever += n
        return {record_id(first + i): Trial(i % 2, (first + i) % 3) for i in range(n)}

    # -- rules -----------------------------------------------------------------------------------

    @rule(n=st.integers(1, 3), happening=fates, modality=st.sampled_from(MODALITIES))
    def add_records(self, n: int, happening: Fates, modality: str) -> None:
        if len(self.world) > MANY:
            return
        new = self._new_records(n)
        self.encode({**self.world, **new}, self.modalities or (modality,), happening)

    @precondition(lambda self: len(self.modalities) == 1)
    @rule(happening=fates)
    def add_a_modality(self, happening: Fates) -> None:
        self.encode(self.world, MODALITIES, happening)

    @precondition(lambda self: self.world)
    @rule(which=st.integers(0, 99), happening=fates)
    def record_a_trial_again(self, which: int, happening: Fates) -> None:
        record = sorted(self.world)[which % len(self.world)]
        trial = self.world[record]
        again = {**self.world, record: replace(trial, take=trial.take + 1)}
        self.encode(again, self.modalities, happening)

    @precondition(lambda self: len(self.world) > 1)
    @rule(which=st.sets(st.integers(0, 9), min_size=1), happening=fates)
    def drop_some(self, which: set[int], happening: Fates) -> None:
        ids = sorted(self.world)
        chosen = sorted({ids[i % len(ids)] for i in which})[: len(ids) - 1]
        kept = {record: trial for record, trial in self.world.items() if record not in chosen}
        self.gone |= {record: self.world[record].take for record in chosen}

        def act() -> None:
            try:
                drop(str(self.cache), where=" or ".join(f"record == '{r}'" for r in chosen))
            except ConfigError as error:  # it was done when the power went
                if "holds for none" not in str(error):
                    raise

        self.deeds.append("drop")
        self.do(act, kept, self.modalities, happening)

    @precondition(lambda self: self.world)
    @rule(which=st.sets(st.integers(0, 9), min_size=1), happening=fates)
    def relabel_some(self, which: set[int], happening: Fates) -> None:
        ids = sorted(self.world)
        chosen = {ids[i % len(ids)] for i in which}
        world = {
            record: replace(trial, label=1 - trial.label) if record in chosen else trial
            for record, trial in self.world.items()
        }
        changes = [
            Change(record=r, old=CLASSES[self.world[r].label], new=CLASSES[world[r].label])
            for r in sorted(chosen)
        ]
        self.deeds.append("relabel")
        self.do(lambda: relabel(str(self.cache), changes), world, self.modalities, happening)

    @precondition(lambda self: self.world)
    @rule(subject=st.integers(0, 2), happening=fates)
    def take_a_subset(self, subject: int, happening: Fates) -> None:
        some = {r: t for r, t in self.world.items() if t.subject == subject}
        if some:
            where = f"subject == {subject}"
            self.make(lambda out: subset(str(self.cache), out, where=where), some, happening)

    @precondition(lambda self: self.world and self.n_ever % 2)  # it costs three of the others
    @rule(n=st.integers(1, 2), happening=fates)
    def merge_with_another(self, n: int, happening: Fates) -> None:
        other, its = self.root / "other", self._new_records(n)
        encode(other, its, self.modalities)
        self.disk.settle()
        sources, before = [str(self.cache), str(other)], files_of(other)
        self.make(lambda out: merge(sources, out), {**self.world, **its}, happening)
        assert files_of(other) == before
        shutil.rmtree(other)
        self.disk.has(other)

    @precondition(lambda self: self.world)
    @rule(
        which=st.integers(0, 999),
        where=st.floats(0, 1, exclude_max=True),
        how=st.sampled_from(["flip", "flip", "cut", "delete"]),
        happening=fates,
    )
    def damage_and_repair(self, which: int, where: float, how: str, happening: Fates) -> None:
        keys = [key for key in Objects(str(self.cache)).sizes() if key != LOCK]
        path = self.cache / keys[which % len(keys)]
        content = path.read_bytes()
        if how == "delete":
            path.unlink()
        elif how == "cut":
            path.write_bytes(content[: int(where * len(content))])
        else:
            byte, bit = divmod(int(where * len(content) * 8), 8)
            flipped = bytes([content[byte] ^ 1 << bit])
            path.write_bytes(content[:byte] + flipped + content[byte + 1 :])
        self.disk.has(path)
        with contextlib.suppress(ContractError):
            assert verify(str(self.cache), full=True).findings, path
        with contextlib.suppress(ContractError):
            assert read(self.cache) == contents_of(self.world, self.modalities)
        if path == self.cache / SPEC:  # nothing else knew of them
            self.deeds = []
        world, modalities = self.world, self.modalities
        act = lambda: encode(self.cache, world, modalities, check=True)  # noqa: E731
        self.do(act, world, modalities, happening)

    @precondition(lambda self: self.world)
    @rule(seed=st.integers(0, 2**16))
    def lose_power_when_nothing_runs(self, seed: int) -> None:
        self.disk.lose_power(seed)
        Life.number += 1
        assert stored(self.cache) == contents_of(self.world, self.modalities)
        assert verify(str(self.cache), full=True).findings == ()
        self._no_trace()


def run(n_steps: int, number: int | None = None, **options: Any) -> None:
    """Do some steps: always the same ones, or those of a number."""
    each, kind = 12, StoreMachine
    if number is not None:
        kind = seed(number)(type("StoreMachine", (StoreMachine,), {}))
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=max(1, n_steps // each),
            stateful_step_count=each,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


@pytest.fixture
def machine():
    machine = StoreMachine()
    yield machine
    machine.teardown()


def test_a_cache_that_is_finished_is_there_after_a_power_cut(machine):
    """Its own folder, and those that Zarr makes, were never flushed."""
    machine.add_records(n=1, happening=[], modality="skeleton")
    machine.add_a_modality(happening=[])
    machine.lose_power_when_nothing_runs(seed=0)


def test_what_was_dropped_does_not_come_back_with_a_power_cut(machine):
    """Removing an object was not flushed: the chunks of the dropped were there again."""
    machine.add_records(n=4, happening=[], modality="skeleton")
    machine.drop_some(which={1, 2, 3}, happening=[])
    machine.lose_power_when_nothing_runs(seed=14)


@pytest.mark.parametrize("number", [2, 39, 51, 61])
def test_an_object_that_a_kill_left_unflushed_is_there_after_a_power_cut(machine, number):
    """It was seen there and believed: of the cache's folder, a chunk or a ledger nobody had
    flushed the name since its process was killed between giving it and that."""
    machine.add_records(n=3, happening=[("kill", number, 0)], modality="skeleton")
    machine.lose_power_when_nothing_runs(seed=0)


def test_what_was_dropped_stays_away_where_a_kill_came_before_that_was_flushed(machine):
    """Nothing was left in its folder, so nobody flushed that: a dropped chunk was there again."""
    for n in (2, 2, 3):
        machine.add_records(n=n, happening=[], modality="inertial")
    machine.add_a_modality(happening=[])
    machine.drop_some(which={0, 1, 7, 8}, happening=[("kill", 78, 0)])
    machine.lose_power_when_nothing_runs(seed=0)


@pytest.mark.parametrize("number", [50, 90])
def test_an_encode_whose_power_is_cut_goes_on_with_what_it_called_done(machine, number):
    """The array's folder could be lost under a ledger that was on the disk."""
    machine.add_records(n=4, happening=[("power", number, 1)], modality="skeleton")


def test_an_edit_goes_on_where_half_of_an_arrays_description_is_left(machine):
    """Zarr made arrays shorter without a flush: half a zarr.json, and no edit or encode went on."""
    machine.add_records(n=4, happening=[], modality="skeleton")
    with pytest.raises(Ended), watched(machine.disk, 40, end):
        drop(str(machine.cache), where=f"record == '{record_id(0)}'")
    assert (machine.cache / EDIT).exists()
    metadata = machine.cache / "skeleton/zarr.json"
    metadata.write_bytes(metadata.read_bytes()[:350])
    Life.number += 1
    machine.drop_some(which={0}, happening=[])


def test_a_cache_is_what_a_dictionary_says_whatever_happens():
    run(CI_STEPS)


@pytest.mark.slow
def test_a_cache_is_what_a_dictionary_says_for_very_many_steps():
    numbers = range(FIRST_SEED, FIRST_SEED - (-STEPS // BATCH))
    with ProcessPoolExecutor(n_cores(), multiprocessing.get_context("spawn")) as pool:
        tasks = {pool.submit(run, BATCH, number): number for number in numbers}
        for task in as_completed(tasks):
            if error := task.exception():
                pool.shutdown(cancel_futures=True)
                raise AssertionError(f"after DMFT_STORE_SEED={tasks[task]}") from error
