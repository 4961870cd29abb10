from __future__ import annotations

import pytest

from pipeline.contract import ConfigError, ContractError
from pipeline.datasets.pattern import Pattern


def find(pattern: str, path: str, **choices: tuple[str, ...]) -> dict[str, str] | None:
    return Pattern.of(pattern, {"modality": "acc"}, choices).find(path)


def test_texts_and_numbers_are_taken_out_of_a_path() -> None:
    pattern = "{label}/{subject}_t{trial:d}_{modality}.csv"
    says = {"label": "drum", "subject": "anna", "trial": "3"}
    assert find(pattern, "drum/anna_t003_acc.csv") == says
    assert find(pattern, "drum/anna_t3_gyro.csv") is None
    assert find(pattern, "deep/drum/anna_t3_acc.csv") is None


def test_a_name_that_is_there_twice_says_the_same_both_times() -> None:
    pattern = "{label}/Accelerometer-{time}-{label}-{subject}.txt"
    path = "Climb_stairs/Accelerometer-2011-03-24-climb_stairs-f1.txt"
    assert find(pattern, path) == {"label": "Climb_stairs", "time": "2011-03-24", "subject": "f1"}
    assert find(pattern, path.replace("Climb_stairs/", "Climb_stairs_MODEL/")) is None


def test_two_stars_are_any_folders_and_an_underscore_is_passed_over() -> None:
    assert find("**/{_}-{label:w}.csv", "a/b/x-y-drum.csv") == {"label": "drum"}
    assert find("**/{label}.csv", "drum.csv") == {"label": "drum"}


def test_a_path_that_is_read_in_two_ways_is_refused() -> None:
    with pytest.raises(ContractError, match=r"1-2-3\.csv says a '1' or '1-2' by the pattern"):
        find("{a}-{b}.csv", "1-2-3.csv")
    assert find("{a}-{b:d}.csv", "1-2-3.csv") == {"a": "1-2", "b": "3"}
    assert find("{label}_{b}.csv", "a_b_c.csv", label=("a_b", "a")) == {"label": "a_b", "b": "c"}


def test_no_text_reaches_into_another_folder() -> None:
    assert find("{label}.csv", "../drum.csv") is None
    assert find("{label}/{b}.csv", "drum/../x.csv") is None


def test_names_and_patterns_that_take_for_ever_are_not_tried() -> None:
    many = "-".join(f"{{a{n}}}" for n in range(7))
    with pytest.raises(ConfigError, match="has 7 fields of any text"):
        find(many, "x")
    with pytest.raises(ConfigError, match="or two with nothing between"):
        find("{a}{b}.csv", "x")
    assert find("s{a:d}{b}.csv", "s12x.csv") == {"a": "12", "b": "x"}
    six = "-".join(f"{{a{n}}}" for n in range(6))
    assert find(f"{six}.csv", "-" * 120 + ".txt") is None


def test_a_path_of_two_readings_is_told_with_patterns_that_read_it_in_one() -> None:
    with pytest.raises(
        ContractError,
        match=r"or write '\{a:d\}-\{b\}\.csv', by which a is '1', b is '2-3' or '\{a\}-\{b:d\}",
    ):
        Pattern.of("{a}-{b}.csv", {}, {}).find("1-2-3.csv")
