"""Motions as a file says them: parts that are shared, ways back, postures, circles."""

from __future__ import annotations

import pytest

from pipeline.synthetic.vocabulary import motion_of, read_vocabulary

PARTS = {
    "seat": {"pelvis": [0.0, -0.5, -0.4], "hands": [0.1, -0.6, 0.5]},
    "reach": {"approach": 0.1, "hands": [[0.0, 0.0, 0.3], [0.0, 0.0, 0.6], [0.0, 0.0, 0.9]]},
}


def test_points_without_times_come_evenly_and_hands_are_both_hands() -> None:
    cycle = motion_of("reach", PARTS["reach"], PARTS).cycle
    assert cycle["left_hand"] == cycle["right_hand"]
    assert cycle["left_hand"] == (
        (0.0, 0.0, 0.0, 0.3),
        (0.5, 0.0, 0.0, 0.6),
        (1.0, 0.0, 0.0, 0.9),
    )


def test_a_motion_has_what_its_parts_have_unless_it_says_otherwise() -> None:
    table = {"like": ["reach"], "begin": "seat", "left_hand": [0.3, 0.0, 0.0], "repeats": [2, 3]}
    motion = motion_of("one_hand", table, PARTS)
    assert (motion.approach, motion.repeats) == (0.1, (2, 3))
    assert motion.begin["right_hand"] == (0.1, -0.6, 0.5)
    assert motion.cycle["left_hand"] == ((0.25, 0.3, 0.0, 0.0), (0.75, 0.3, 0.0, 0.0))
    assert motion.cycle["right_hand"][0] == (0.0, 0.0, 0.0, 0.3)


def test_the_way_back_passes_the_same_points_in_reverse() -> None:
    forth = motion_of("forth", {"like": ["reach"]}, PARTS).cycle["right_hand"]
    back = motion_of("back", {"backwards": "reach"}, PARTS).cycle["right_hand"]
    assert [point for _, *point in back] == [point for _, *point in forth][::-1]
    assert [at for at, *_ in back] == [0.0, 0.5, 1.0]


def test_a_circle_closes_at_its_top() -> None:
    circle = {"circle": [0.1, 0.0, 0.7], "radius": 0.4, "clockwise": True}
    keys = motion_of("circle", {"right_hand": circle}, PARTS).cycle["right_hand"]
    assert keys[0][1:] == pytest.approx((0.1, 0.4, 0.7))
    assert keys[-1][1:] == pytest.approx((0.1, 0.4, 0.7))
    assert keys[3][1:] == pytest.approx((0.5, 0.0, 0.7))


def test_a_posture_that_is_kept_moves_hands_and_nothing_that_bears_weight() -> None:
    hold = {"hold": {"pelvis": [0.0, -0.6, 0.0], "right_hand": [0.2, 0.0, 0.9]}}
    cycle = motion_of("crouch", hold, PARTS).cycle
    assert len({tuple(point) for _, *point in cycle["pelvis"]}) == 1
    assert len({tuple(point) for _, *point in cycle["right_hand"]}) == 2


def test_an_entry_that_is_no_track_is_refused_by_name() -> None:
    with pytest.raises(AssertionError, match="odd: no track 'tail'"):
        motion_of("odd", {"tail": [[0.0, 0.0, 0.0]]}, PARTS)


@pytest.mark.parametrize("data_set", ["utd-mhad", "mmact"])
def test_smaller_trees_take_every_motion_once(data_set: str) -> None:
    motions, spread = read_vocabulary(data_set)
    assert sorted(spread) == sorted(motions)
