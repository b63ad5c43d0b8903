"""Pictures of depth, masks and clouds for people; all images are uint8 RGB (H, W, 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from dense_perception.inference.card import ClassInfo

BACKGROUND = (24, 26, 30)
FOREGROUND = (225, 228, 232)
FAINT = (92, 98, 106)
UNKNOWN = (52, 55, 60)
"""Colour of pixels without depth."""

_TURBO = cv2.cvtColor(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_TURBO),
                      cv2.COLOR_BGR2RGB)[0]


def depth_limits(depths: Iterable[np.ndarray]) -> tuple[float, float]:
    """Nearest and farthest depth worth a colour: the 1st and 98th percentile of all images.

    :return: (near, far), at least a factor of 2 apart; (1, 10) if nothing is valid.
    """
    valid = [depth[np.isfinite(depth) & (depth > 0)] for depth in depths]
    values = np.concatenate(valid) if valid else np.empty(0)
    if not values.size:
        return 1.0, 10.0
    near, far = (float(v) for v in np.percentile(values, (1, 98)))
    return near, max(far, 2 * near)


def colour_depth(depth: np.ndarray, near: float, far: float) -> np.ndarray:
    """Depth as colour, logarithmic, near = red, far = blue, unknown = grey.

    :param depth: float (H, W); not finite or <= 0 = unknown.
    """
    valid = np.isfinite(depth) & (depth > 0)
    place = np.log(np.where(valid, depth, near) / near) / np.log(far / near)
    index = (255 * (1 - np.clip(place, 0, 1))).astype(np.uint8)
    return np.where(valid[..., None], _TURBO[index], np.array(UNKNOWN, np.uint8))


def colour_normals(normals: np.ndarray) -> np.ndarray:
    """Normals as colours: uint8 (H, W, 3) RGB = (n + 1) / 2 of x, y, z; unknown is grey."""
    known = np.isfinite(normals).all(axis=-1, keepdims=True)
    colours = np.where(known, normals, 0) * 127.5 + 127.5
    return np.where(known, colours.round(), UNKNOWN).astype(np.uint8)


def palette(classes: Sequence[ClassInfo]) -> np.ndarray:
    """Colour of each id: uint8 (256, 3); ids without a class are black."""
    colours = np.zeros((256, 3), np.uint8)
    for info in classes:
        colours[info.id] = info.colour
    return colours


def strongest_channel(features: np.ndarray) -> np.ndarray:
    """Which of three feature channels is strongest, and how strong: the other two are black.

    The picture of xNet's mixed feature (Ning et al., Figure 4). One linear scale serves all
    channels, from the 1st to the 99th percentile of all values.

    :param features: float (3, H, W); of equal channels the first counts.
    """
    low, high = np.percentile(features, (1, 99))
    scaled = np.clip((features - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1)
    strongest = features.argmax(axis=0) == np.arange(3)[:, None, None]
    return np.moveaxis(np.round(255 * scaled * strongest).astype(np.uint8), 0, -1)


def blend(image: np.ndarray, colours: np.ndarray, share: float = 0.6) -> np.ndarray:
    """``share`` of ``colours`` over the grey version of ``image``, which lends its structure."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(colours, share, grey, 1 - share, 0)


def fit(image: np.ndarray, width: int, height: int, crisp: bool = False) -> np.ndarray:
    """Image scaled as large as fits into width x height, centred on the background.

    :param crisp: enlarge and shrink without mixing pixels, as masks need.
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    rule = cv2.INTER_NEAREST if crisp else cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.full((height, width, 3), BACKGROUND, np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    canvas[top:top + size[1], left:left + size[0]] = cv2.resize(image, size, interpolation=rule)
    return canvas


def text(image: np.ndarray, words: str, at: tuple[int, int], size: float = 0.45,
         colour: tuple[int, int, int] = FOREGROUND) -> int:
    """Write into the image, baseline's left end at (x, y); returns the width in pixels."""
    cv2.putText(image, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
    return cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]


def round_distance(distance: float) -> float:
    """The largest of ... 1, 2, 5, 10, 20, 50 ... that is at most ``distance``."""
    power = 10.0 ** np.floor(np.log10(distance))
    return float(max(step for step in (1, 2, 5) if step * power <= distance * (1 + 1e-9)) * power)


def cloud_from_above(points: np.ndarray, colours: np.ndarray, down: Sequence[float] | None,
                     reach: float, width: int, height: int, unit: str = 'm') -> np.ndarray:
    """Points seen from above: the camera at the bottom centre looking up the picture.

    :param points: structured with x, y, z in the optical frame, any shape; NaN = no point.
    :param colours: uint8, that shape and (3,).
    :param down: unit vector along gravity, optical frame. Points more than 4 % of ``reach``
        above the camera, such as ceilings, are then left out. None = unknown: the camera is
        taken as level and everything is shown.
    :param reach: distance ahead at the top of the picture.
    :param unit: written at the range rings.
    """
    known = np.isfinite(points['z'])
    xyz = np.stack([points[axis][known] for axis in 'xyz'], axis=-1)
    axes = level_axes((0.0, 1.0, 0.0) if down is None else down)
    right, below, ahead = (xyz @ axes.T.astype(np.float32)).T
    foot = height - 12
    scale = (foot - 14) / reach
    shown = (np.abs(ahead) * scale < height) & (np.abs(right) * scale < width / 2)
    if down is not None:
        shown &= below > -0.04 * reach
    order = np.argsort(-below[shown])  # higher points hide lower ones
    canvas = np.full((height, width, 3), BACKGROUND, np.uint8)
    rings = {distance: round(distance * scale) for distance in _ring_distances(reach)}
    for radius in rings.values():
        cv2.circle(canvas, (width // 2, foot), radius, FAINT, 1, cv2.LINE_AA)
    _splat(canvas, (width / 2 + right[shown] * scale).astype(int)[order],
           (foot - ahead[shown] * scale).astype(int)[order], colours[known][shown][order])
    for distance, radius in rings.items():
        text(canvas, f'{distance:g} {unit}'.strip(), (width // 2 + 4, foot - radius - 3), 0.36)
    arrow = np.array([[0, -5], [-5, 6], [5, 6]], np.int32) + np.array([width // 2, foot], np.int32)
    cv2.fillPoly(canvas, [arrow], FOREGROUND, cv2.LINE_AA)
    return canvas


def level_axes(down: Sequence[float]) -> np.ndarray:
    """Right, down and ahead of a levelled camera in the optical frame: float64 (3, 3), as rows."""
    gravity = np.asarray(down, np.float64)
    ahead = np.array([0.0, 0.0, 1.0]) - gravity[2] * gravity
    if np.linalg.norm(ahead) < 1e-3:  # looks straight down: what is up in the image is ahead
        ahead = np.array([0.0, -1.0, 0.0])
    ahead /= np.linalg.norm(ahead)
    return np.stack([np.cross(gravity, ahead), gravity, ahead])


def _ring_distances(reach: float) -> np.ndarray:
    step = round_distance(reach / 2)
    return np.arange(step, reach * 1.01, step)


def _splat(canvas: np.ndarray, column: np.ndarray, row: np.ndarray, tint: np.ndarray) -> None:
    """Draw points as 2 x 2 pixels, later ones over earlier ones."""
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        u, v = column + right, row + down
        inside = (u >= 0) & (u < canvas.shape[1]) & (v >= 0) & (v < canvas.shape[0])
        canvas[v[inside], u[inside]] = tint[inside]
