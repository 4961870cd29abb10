"""What the columns of a modality are in space, and what augmentation makes of it."""

from __future__ import annotations

import torch

from dmft.config import AugmentConfig
from dmft.data.augment import Augmenter
from dmft.data.geometry import Geometry, find_geometry
from pipeline.readers.pose import COLUMNS as POSE_COLUMNS
from pipeline.readers.registry import readable

INERTIAL_COLUMNS = readable("mmact", "inertial").columns
KINECT = readable("utd-mhad", "skeleton").columns
JOINTS = tuple(name.removesuffix("_x") for name in KINECT[::3])
ROWS = torch.arange(5)


def found(kind: str, names: tuple[str, ...]) -> Geometry:
    geometry = find_geometry(kind, len(names), names)
    assert geometry is not None
    return geometry


def augmented(geometry: Geometry, patches: torch.Tensor, **changes: float) -> torch.Tensor:
    augmenter = Augmenter(config=AugmentConfig(**changes), seed=0, epoch=0)
    return augmenter.patches("m", patches, geometry, ROWS)


def bone(patches: torch.Tensor, joint: str, parent: str) -> torch.Tensor:
    points = patches.view(*patches.shape[:2], -1, 3)
    return points[:, :, JOINTS.index(joint)] - points[:, :, JOINTS.index(parent)]


def test_every_joint_of_kinect_but_the_hip_hangs_on_another():
    geometry = found("points", KINECT)
    assert (geometry.lengths == 0).nonzero().flatten().tolist() == [JOINTS.index("hip_center")]
    assert geometry.is_whole
    assert geometry.n_lengths == 11
    left, right = JOINTS.index("left_knee"), JOINTS.index("right_knee")
    assert geometry.lengths[left] == geometry.lengths[right] != 0


def test_two_persons_do_not_hang_on_each_other():
    geometry = found("points", POSE_COLUMNS)
    half = len(geometry.bones) // 2
    assert not geometry.bones[:half, half:].any()
    assert not geometry.bones[half:, :half].any()
    roots = {POSE_COLUMNS[3 * int(j)][:-2] for j in (geometry.lengths == 0).nonzero()}
    joints = ("nose", "left_hip", "right_hip")
    assert roots == {f"person{n}_{joint}" for n in (1, 2) for joint in joints}


def test_angles_and_masks_are_no_axes():
    geometry = found("axes", INERTIAL_COLUMNS)
    chosen = [INERTIAL_COLUMNS[int(column)] for column in geometry.triples.flatten()]
    sensors = ("acc_phone", "acc_watch", "gyro")
    assert chosen == [f"{sensor}_{axis}" for sensor in sensors for axis in "xyz"]


def test_columns_in_no_triple_are_left_alone():
    geometry = found("axes", INERTIAL_COLUMNS)
    patches = torch.randn(5, 4, len(INERTIAL_COLUMNS))
    turned = augmented(geometry, patches, rotate_axes_deg=90, scale=0.3)
    others = [c for c in range(len(INERTIAL_COLUMNS)) if c not in geometry.triples.flatten()]
    assert torch.equal(turned[:, :, others], patches[:, :, others])
    assert not torch.equal(turned, patches)


def test_nothing_turns_where_there_is_no_geometry():
    assert find_geometry("none", 6) is None
    assert find_geometry("axes", 7) is None
    assert find_geometry("points", 2, ("a_x", "a_y")) is None


def test_other_bone_lengths_keep_directions_proportions_in_time_and_the_two_sides_alike():
    patches = torch.randn(5, 4, len(KINECT))
    stretched = augmented(found("points", KINECT), patches, bone_lengths=0.4)
    factors = []
    for side in ("left", "right"):
        before = bone(patches, f"{side}_elbow", f"{side}_shoulder")
        after = bone(stretched, f"{side}_elbow", f"{side}_shoulder")
        factor = after / before
        mean = factor.mean(dim=(1, 2), keepdim=True)
        torch.testing.assert_close(factor, mean.expand_as(factor), atol=1e-3, rtol=1e-3)
        assert ((mean > 0.6) & (mean < 1.4)).all()
        factors.append(mean)
    torch.testing.assert_close(*factors, atol=1e-3, rtol=1e-3)
    assert factors[0].std() > 0.05
    hip = 3 * JOINTS.index("hip_center")
    torch.testing.assert_close(stretched[:, :, hip : hip + 3], patches[:, :, hip : hip + 3])


def test_a_tilt_keeps_all_distances_and_a_shear_does_not():
    geometry, patches = found("points", KINECT), torch.randn(5, 4, len(KINECT))
    norms = patches.view(5, 4, -1, 3).norm(dim=-1)
    tilted = augmented(geometry, patches, tilt_points_deg=20).view(5, 4, -1, 3)
    torch.testing.assert_close(tilted.norm(dim=-1), norms, atol=1e-4, rtol=1e-4)
    assert (tilted[..., 1] - patches.view(5, 4, -1, 3)[..., 1]).abs().max() > 0.1
    sheared = augmented(geometry, patches, shear_points=0.3).view(5, 4, -1, 3)
    assert (sheared.norm(dim=-1) / norms - 1).abs().max() > 0.1


def test_what_joints_hang_on_may_be_said():
    names = [f"{joint}_{axis}" for joint in ("base", "tip") for axis in "xyz"]
    geometry = find_geometry("points", 6, names, {"tip": "base"})
    assert geometry.bones.tolist() == [[1, 0], [-1, 1]]
    assert find_geometry("points", 6, names).bones.tolist() == [[1, 0], [0, 1]]
