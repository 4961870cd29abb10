"""Four cameras round a room that see one moving body from four sides, and what they record.

The person's camera of :mod:`pipeline.synthetic.body` is one viewpoint; here the body is turned
about the middle of the room until each camera looks along +z, so one renderer serves all. These
cameras do not mirror. A keypoint detector looks at what they film.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.readers.pose import JOINTS as COCO
from pipeline.synthetic.body import JOINT, Floats, unit
from pipeline.synthetic.render import Camera

_MIDDLE = np.array([-0.09, 0.0, 2.88])
"""Where people stand, in the coordinates of a body."""
_BEARING_DEG = {1: 20.0, 2: 110.0, 3: 200.0, 4: 290.0}
_DISTANCE_M, WALL_M = 4.6, 6.5
_FOCAL_WIDTHS = 0.62
CAMERA_RISE_M = 0.12
"""How much higher than the person's own camera these hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One of the four cameras at one size of image."""

    number: int
    width: int
    height: int

    @property
    def lens(self) -> Camera:
        """The pinhole that the turned body is seen through."""
        return Camera(width=self.width, height=self.height, focal_px=_FOCAL_WIDTHS * self.width)

    def turned(self, points: Floats) -> Floats:
        """Points as this camera has them before it, unmirrored.

        Shapes: (..., 3) metres -> (..., 3) metres: x to the camera's right, z away from it.
        """
        angle = np.radians(_BEARING_DEG[self.number])
        cosine, sine = np.cos(angle), np.sin(angle)
        x, y, z = np.moveaxis(points - _MIDDLE, -1, 0)
        return np.stack(
            [-(cosine * x + sine * z), y - CAMERA_RISE_M, _DISTANCE_M + cosine * z - sine * x],
            axis=-1,
        )

    def detect(self, joints: Floats, noise: np.random.Generator) -> list[Floats | None]:
        """What a keypoint detector finds in each frame; in one of a hundred, nobody.

        Shapes: joints (T, 20, 3) metres -> T times (17, 3): column, row, score from 0 to 1.
        """
        pixels = self.lens.project(self.turned(_coco(joints)))
        off = 0.0025 * self.width * noise.standard_normal(pixels.shape)
        score = np.clip(0.88 + 0.07 * noise.standard_normal(pixels.shape[:2]), 0.3, 1.0)
        keypoints = np.concatenate([pixels + off, score[..., None]], axis=-1)
        missed = (noise.random(len(keypoints)) < 0.01).tolist()
        return [None if miss else frame for miss, frame in zip(missed, keypoints, strict=True)]


def _coco(joints: Floats) -> Floats:
    """COCO's keypoints of a Kinect body. Shapes: (T, 20, 3) -> (T, 17, 3) metres."""
    head = joints[:, JOINT["head"]]
    up = unit(head - joints[:, JOINT["shoulder_center"]])
    right = unit(joints[:, JOINT["right_shoulder"]] - joints[:, JOINT["left_shoulder"]])
    ahead = np.cross(up, right)
    face = {
        "nose": head + 0.1 * ahead,
        "left_eye": head + 0.08 * ahead - 0.03 * right + 0.035 * up,
        "right_eye": head + 0.08 * ahead + 0.03 * right + 0.035 * up,
        "left_ear": head - 0.075 * right + 0.01 * up,
        "right_ear": head + 0.075 * right + 0.01 * up,
    }
    return np.stack(
        [face[name] if name in face else joints[:, JOINT[name]] for name in COCO], axis=1
    )
