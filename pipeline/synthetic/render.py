"""A body seen by cameras: depth in millimetres and colour on a plausible background.

Each bone is a tapered capsule with a round end at each joint, drawn straight into the image: a
pixel lies on a capsule by its distance from the projected bone, and its depth is the bone's less
the bulge of the capsule. That is within millimetres of ray casting at these distances and needs no
rays. Both cameras look along +z from near the origin and mirror, as the Kinect's do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.body import JOINT, Floats
from pipeline.synthetic.scene import Person
from pipeline.synthetic.vocabulary import read_motions


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A pinhole camera that looks along +z."""

    width: int
    height: int
    focal_px: float
    offset_x_m: float = 0.0
    """Where it stands to the right of the origin."""

    def project(self, points: Floats) -> Floats:
        """Pixels (column, row) of points. Shapes: (..., 3) metres -> (..., 2)."""
        depth = points[..., 2]
        column = self.width / 2 + self.focal_px * (points[..., 0] - self.offset_x_m) / depth
        row = self.height / 2 - self.focal_px * points[..., 1] / depth
        return np.stack([column, row], axis=-1)


DEPTH_CAMERA = Camera(width=320, height=240, focal_px=285.6)
"""The Kinect's depth camera at half resolution."""
COLOUR_CAMERA = Camera(width=640, height=480, focal_px=525.0, offset_x_m=0.025)
"""The Kinect's colour camera, 25 mm beside it."""

DISPARITY_STEP = 2.95e-3
"""Steps of 1/z, in 1/m, in which a Kinect measures depth: 13 mm at 2.1 m, 30 mm at 3.2 m."""


class Limb(NamedTuple):
    """One capsule of the body's surface."""

    start: str
    end: str
    start_radius_m: float
    end_radius_m: float
    part: str
    """What it wears: ``skin``, ``shirt``, ``trousers`` or ``shoe``."""


LIMBS = tuple(Limb(*row) for row in read_motions("body")["limbs"])
"""The body's surface; radii before a person's girth."""


class Surface(NamedTuple):
    """What a camera sees of a body in one frame.

    Shapes: all (H, W). Where there is no body, depth is infinite and limb is -1.
    """

    depth_m: NDArray[np.float32]
    limb: NDArray[np.int8]
    """Index into :data:`LIMBS`."""
    facing: NDArray[np.float32]
    """Cosine between the surface and the line of sight: 1 in the middle of a limb, 0 at its rim."""


def see(joints: Floats, camera: Camera, girth: float) -> Surface:
    """Draw one frame of a body, in front of the camera, all z above 0.2 m.

    Shapes: joints (20, 3) metres -> :class:`Surface` of (H, W).
    """
    shape = (camera.height, camera.width)
    depth = np.full(shape, np.inf, dtype=np.float32)
    index = np.full(shape, -1, dtype=np.int8)
    facing = np.zeros(shape, dtype=np.float32)
    pixels = camera.project(joints)
    for number, limb in enumerate(LIMBS):
        a, b = JOINT[limb.start], JOINT[limb.end]
        z_a, z_b = float(joints[a, 2]), float(joints[b, 2])
        r_a, r_b = limb.start_radius_m * girth, limb.end_radius_m * girth
        rim_a, rim_b = camera.focal_px * r_a / z_a, camera.focal_px * r_b / z_b
        (x_a, y_a), (x_b, y_b) = pixels[a].tolist(), pixels[b].tolist()
        left = max(0, int(min(x_a - rim_a, x_b - rim_b)))
        right = min(camera.width, int(max(x_a + rim_a, x_b + rim_b)) + 2)
        top = max(0, int(min(y_a - rim_a, y_b - rim_b)))
        bottom = min(camera.height, int(max(y_a + rim_a, y_b + rim_b)) + 2)
        if left >= right or top >= bottom:
            continue
        x = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x_a)
        y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y_a))[:, None]
        d_x, d_y = x_b - x_a, y_b - y_a
        along = (x * np.float32(d_x) + y * np.float32(d_y)) / np.float32(
            max(d_x * d_x + d_y * d_y, 1e-6)
        )
        np.clip(along, 0.0, 1.0, out=along)
        rim = np.float32(rim_a) + along * np.float32(rim_b - rim_a)
        off = (x - along * np.float32(d_x)) ** 2 + (y - along * np.float32(d_y)) ** 2
        bulge = 1.0 - off / (rim * rim)
        np.sqrt(np.maximum(bulge, 0.0, out=bulge), out=bulge)
        # Between the ends 1/z, not z, is linear in the image.
        far = 1.0 / (np.float32(1 / z_a) + along * np.float32(1 / z_b - 1 / z_a))
        near = far - (np.float32(r_a) + along * np.float32(r_b - r_a)) * bulge
        area = (slice(top, bottom), slice(left, right))
        seen = (bulge > 0) & (near < depth[area])
        depth[area][seen] = near[seen]
        index[area][seen] = number
        facing[area][seen] = bulge[seen]
    return Surface(depth_m=depth, limb=index, facing=facing)


def depth_millimetres(surface: Surface, noise: np.random.Generator) -> NDArray[np.uint16]:
    """A Kinect's depth of one frame, with the background cut out.

    Shapes: (H, W) -> (H, W) uint16 millimetres, 0 where there is no body.
    """
    body = surface.limb >= 0
    # Rims come and go: what the surface turns away from the camera is lost first.
    kept = surface.facing[body] > 0.25 * noise.random(int(body.sum()), dtype=np.float32)
    steps = np.round(
        1.0 / surface.depth_m[body] / DISPARITY_STEP
        + 0.3 * noise.standard_normal(int(body.sum()), dtype=np.float32)
    )
    image = np.zeros(body.shape, dtype=np.uint16)
    image[body] = np.where(kept, np.round(1000.0 / (steps * DISPARITY_STEP)), 0).astype(np.uint16)
    return image


def room(
    camera: Camera, floor_y_m: float, place: np.random.Generator, wall_m: float
) -> NDArray[np.uint8]:
    """A room to stand in: wall, skirting, floor in perspective, a door and a cabinet.

    ``floor_y_m`` is the floor's height from the camera's axis and ``wall_m`` the wall's least
    distance; ``place`` draws colours, furniture and half a metre more.

    Shapes: -> (H, W, 3) uint8.
    """
    rows = np.arange(camera.height, dtype=np.float64)[:, None]
    columns = np.arange(camera.width, dtype=np.float64)[None, :]
    wall_z = wall_m + 0.5 * place.random()
    scale = camera.height / 480
    horizon = camera.height / 2
    foot = horizon - camera.focal_px * floor_y_m / wall_z
    wall = np.array([186.0, 182.0, 170.0]) + 14 * place.standard_normal(3)
    image = (
        wall * (0.86 + 0.16 * (columns / camera.width) - 0.1 * (rows / camera.height))[..., None]
    )
    for _ in range(2):
        left = camera.width * (0.05 + 0.75 * place.random())
        width = camera.width * (0.09 + 0.08 * place.random())
        height = (90 + 190 * place.random()) * scale
        paint = 70 + 110 * place.random(3)
        box = (columns > left) & (columns < left + width) & (rows > foot - height) & (rows < foot)
        image[box] = paint
        edge = box & ((columns < left + 4 * scale) | (columns > left + width - 4 * scale))
        image[edge] = paint * 0.7
    image[np.broadcast_to((rows > foot - 7 * scale) & (rows < foot), image.shape[:2])] *= 0.7
    below = np.maximum(rows - horizon, 1.0)
    depth = -floor_y_m * camera.focal_px / below
    across = (columns - camera.width / 2) * depth / camera.focal_px
    tiles = 0.93 + 0.07 * np.sign(np.sin(across * 10.0) * np.sin(depth * 10.0))
    floor = np.array([126.0, 112.0, 98.0]) + 10 * place.standard_normal(3)
    on_floor = np.broadcast_to(rows >= foot, image.shape[:2])
    image[on_floor] = (floor * (tiles * (0.75 + 0.25 * below / below.max()))[..., None])[on_floor]
    return np.clip(image, 0, 255).astype(np.uint8)


def colour_film(
    joints: Floats,
    camera: Camera,
    person: Person,
    floor_y_m: float,
    *,
    place: np.random.Generator,
    noise: np.random.Generator,
    grain: float,
    wall_m: float = 4.2,
) -> Iterator[NDArray[np.uint8]]:
    """Colour images of a person who moves in a :func:`room`, one by one.

    ``place`` is the same for all films of one camera in one room, ``noise`` draws light and grain
    of this film; ``grain`` is the noise's standard deviation in grey levels.

    Shapes: joints (T, 20, 3) metres, in front of the camera -> T times (H, W, 3) uint8.
    """
    background = room(camera, floor_y_m, place, wall_m)
    lit = background * float(np.clip(1 + 0.05 * noise.standard_normal(), 0.85, 1.15))
    # Four grains in turn look alive to a network and cost a twentieth of one a frame.
    plain = np.clip(lit, 0, 255).astype(np.uint8)
    rooms = []
    for _ in range(4):
        speckle = np.round(grain * noise.standard_normal(plain.shape[:2], dtype=np.float32))
        rooms.append(np.clip(plain + speckle[..., None], 0, 255).astype(np.uint8))
    paint = np.array([person.wardrobe[limb.part] for limb in LIMBS], dtype=np.float32)
    for index, frame in enumerate(joints):
        surface = see(frame, camera, person.body.girth)
        body = np.flatnonzero(surface.limb >= 0)
        light = 0.5 + 0.5 * surface.facing.ravel()[body]  # from where the camera stands
        image = rooms[index % 4].copy()
        image.reshape(-1, 3)[body] = paint[surface.limb.ravel()[body]] * light[:, None]
        yield image
