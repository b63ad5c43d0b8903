"""People: 1.0-1.95 m tall, clothed, in the poses of everyday life, alone and in groups."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dense_perception.world.classes import FURNITURE, PERSON
from dense_perception.world.parts import (
    BLACK,
    WHITE,
    Colour,
    Part,
    Parts,
    one_of,
    placed,
    rgb,
    tint,
)
from dense_perception.world.shapes import Mesh, box, ellipsoid, lathe, loft, rotation, tube

POSES = ('stand', 'walk', 'gesture', 'sit', 'bend', 'crouch', 'carry', 'phone', 'reach')
_POSE_SHARES = (0.24, 0.28, 0.1, 0.1, 0.05, 0.03, 0.08, 0.07, 0.05)


@dataclass(frozen=True)
class _Body:
    """Sizes in metres: ``tall`` in all, ``build`` multiplies the girth."""

    tall: float
    build: float

    def __getattr__(self, name: str) -> float:
        """Length of a segment as its usual share of the height."""
        if name not in _SEGMENTS:
            raise AttributeError(name)
        return _SEGMENTS[name] * self.tall


_SEGMENTS = {'thigh': 0.245, 'shin': 0.245, 'ankle': 0.04, 'hip': 0.052, 'trunk': 0.29,
             'shoulder': 0.112, 'upper': 0.172, 'fore': 0.15, 'hand': 0.09, 'neck': 0.05,
             'head': 0.13}


@dataclass(frozen=True)
class _Clothes:
    top: tuple[str, Colour]
    legs: tuple[str, Colour]
    shoes: Colour
    skin: Colour
    hair: Colour
    bare_arms: bool
    bare_legs: bool
    skirt: float  # length over the leg's, 0 without
    hat: str | None
    bag: str | None
    long_hair: bool


def person(rng: np.random.Generator, pose: str | None = None) -> Parts:
    """One person of 1.5-1.95 m, or a child, in a random pose or a given one."""
    child = rng.random() < 0.08
    body = _Body(rng.uniform(1.0, 1.45) if child else
                 float(np.clip(rng.normal(1.71, 0.1), 1.5, 1.95)),
                 float(np.clip(rng.normal(1.0, 0.13), 0.78, 1.4)))
    pose = pose or str(rng.choice(POSES, p=_POSE_SHARES))
    return _pose(body, _dressed(rng), pose, rng)


def group(rng: np.random.Generator) -> Parts:
    """Two to four people who talk to each other."""
    count = int(rng.integers(2, 5))
    radius = rng.uniform(0.45, 0.75)
    parts: Parts = []
    for i in range(count):
        angle = 2 * math.pi * i / count + rng.normal(0, 0.2)
        at = (radius * math.cos(angle), radius * math.sin(angle), 0)
        pose = str(rng.choice(['stand', 'stand', 'gesture', 'phone', 'carry']))
        parts += placed(person(rng, pose), at, angle + math.pi + rng.normal(0, 0.3))
    return parts


def _dressed(rng: np.random.Generator) -> _Clothes:
    tone = rng.random()
    skin = np.array([0.93, 0.74, 0.62]) * (1 - tone) + np.array([0.32, 0.2, 0.14]) * tone
    kinds = ('fabric', 'fabric', 'knit', 'print', 'knit')
    hairs = ((.06, .05, .04), (.14, .09, .06), (.3, .19, .1), (.6, .45, .25), (.55, .54, .52))
    return _Clothes(
        (str(one_of(rng, kinds)), (0.95, 0.75, 0.1) if rng.random() < 0.08 else tint(rng, 0.45)),
        (str(one_of(rng, ('fabric', 'denim', 'fabric'))), tint(rng, 0.12)), tint(rng, 0.15),
        rgb(skin * rng.uniform(0.9, 1.05)), one_of(rng, hairs), rng.random() < 0.35,
        rng.random() < 0.12, rng.uniform(0.35, 0.9) if rng.random() < 0.14 else 0.0,
        one_of(rng, ('cap', 'helmet', 'beanie')) if rng.random() < 0.2 else None,
        one_of(rng, ('backpack', 'satchel')) if rng.random() < 0.25 else None,
        rng.random() < 0.4)


def _pose(body: _Body, wear: _Clothes, pose: str, rng: np.random.Generator) -> Parts:
    """Joints by forward kinematics, then flesh and clothes on them."""
    stride = rng.uniform(0.15, 0.55) if pose == 'walk' else rng.uniform(0.0, 0.08)
    lean = {'bend': rng.uniform(0.7, 1.3), 'crouch': rng.uniform(0.3, 0.7), 'walk': 0.06,
            'sit': rng.uniform(-0.2, 0.3), 'reach': rng.uniform(0.1, 0.5)}.get(pose, 0.02)
    parts: Parts = []
    legs = []
    for side in (1, -1):
        swing, knee = side * stride, (rng.uniform(0.1, 0.6) if pose == 'walk' and side < 0
                                      else rng.uniform(0.0, 0.1))
        if pose == 'sit':
            swing, knee = rng.uniform(1.35, 1.6), rng.uniform(1.3, 1.7)
        elif pose == 'crouch':
            swing, knee = (rng.uniform(1.5, 2.0), rng.uniform(2.0, 2.4))
        spread = side * rng.uniform(0.0, 0.12)
        hip = np.array([0, side * body.hip, 0])
        joint = hip + body.thigh * _down(swing, spread)
        foot = joint + body.shin * _down(swing - knee, spread)
        legs.append((hip, joint, foot))
    ground = min(float(foot[2]) for *_, foot in legs) - body.ankle
    pelvis = np.array([0, 0, -ground])
    if pose == 'sit' and rng.random() < 0.5:
        parts += _seat(-ground - 0.07 * body.build, rng)
    parts += [p for leg in legs for p in _leg(body, wear, *(pelvis + joint for joint in leg))]
    turn = rotation(rng.normal(0, 0.12), lean, rng.normal(0, 0.04))
    parts += [Part(m, texture, colour, PERSON) for m, texture, colour in
              _trunk(body, wear, pelvis, turn)]
    chest = pelvis + turn @ np.array([0, 0, body.trunk])
    for side in (1, -1):
        at = chest + turn @ np.array([0, side * body.shoulder * min(body.build, 1.2), -0.02])
        parts += _arm(body, wear, at, side, pose, -side * stride * 0.8, rng)
    parts += _head(body, wear, chest, turn @ rotation(rng.normal(0, 0.4), rng.normal(0, 0.15)
                                                      - 0.5 * lean))
    if wear.bag:
        parts += _bag(body, wear.bag, chest, turn, rng)
    if wear.skirt and pose not in ('sit', 'crouch'):
        parts.append(_skirt(body, wear, pelvis))
    if pose == 'carry':
        half = rng.uniform([0.1, 0.14, 0.08], [0.18, 0.28, 0.22])
        front = chest + turn @ np.array([0.12 + half[0] + 0.1, 0, -0.25])
        parts.append(Part(box(half, front, unit=True), str(one_of(rng, ('card', 'packaging'))),
                          WHITE, FURNITURE))
    return parts


def _down(swing: float, spread: float) -> np.ndarray:
    """Direction of a limb that hangs, swung forward and spread to the left."""
    return np.array([math.sin(swing) * math.cos(spread), math.sin(spread),
                     -math.cos(swing) * math.cos(spread)])


def _leg(body: _Body, wear: _Clothes, hip: np.ndarray, knee: np.ndarray,
         ankle: np.ndarray) -> Parts:
    b = body.build * body.tall / 1.75
    thigh = knee + 0.5 * (hip - knee)
    calf = knee + 0.35 * (ankle - knee)
    texture, colour = ('skin', wear.skin) if wear.bare_legs or wear.skirt else wear.legs
    mesh = loft([hip, thigh, knee, calf, ankle],
                np.array([0.088, 0.078, 0.057, 0.058, 0.04]) * b)
    toe = np.array([0.07, 0, -body.ankle + 0.035]) * (body.tall / 1.75)
    shoe = ellipsoid((0.135 * body.tall / 1.75, 0.047, 0.045), ankle + toe, 8, 4, 2.6)
    return [Part(mesh, texture, colour, PERSON), Part(shoe, 'plain', wear.shoes, PERSON)]


def _trunk(body: _Body, wear: _Clothes, pelvis: np.ndarray, turn: np.ndarray,
           ) -> list[tuple[Mesh, str, Colour]]:
    s, b = body.tall / 1.75, body.build
    up = np.array([-0.13, -0.02, 0.1, 0.28, 0.42, 0.5, 0.54]) * body.tall / 1.75
    up = up * body.trunk / (0.52 * s)
    wide = np.array([.13, .165, .148, .172, .19, .15, .07]) * s * b
    deep = np.array([.095, .115, .105 + 0.05 * max(b - 1, 0), .12, .105, .08, .06]) * s * b
    points = pelvis + np.stack([0 * up, 0 * up, up], 1) @ turn.T
    sides = np.stack([wide, deep], 1)
    across = turn @ np.array([0, 1, 0])
    return [(loft(points[:3], sides[:3] * [0.97, 1.0], 10, 2.3, across), *wear.legs),
            (loft(points[1:], sides[1:] * 1.04, 10, 2.3, across), *wear.top)]


def _arm(body: _Body, wear: _Clothes, shoulder: np.ndarray, side: int, pose: str, swing: float,
         rng: np.random.Generator) -> Parts:
    spread, bend = side * rng.uniform(0.05, 0.2), rng.uniform(0.05, 0.5)
    if pose in ('carry', 'sit'):
        swing, bend = rng.uniform(0.1, 0.5), rng.uniform(0.9, 1.5)
    elif pose == 'phone' and side > 0:
        swing, bend = rng.uniform(0.3, 0.7), rng.uniform(1.6, 2.3)
    elif pose in ('gesture', 'reach') and rng.random() < 0.75:
        swing, bend, spread = (rng.uniform(0.3, 2.4), rng.uniform(0, 1.4),
                               side * rng.uniform(0, 0.9))
    elif pose in ('bend', 'crouch'):
        swing = rng.uniform(0.2, 0.9)
    elbow = shoulder + body.upper * _down(swing, spread)
    inward = -side * 0.25 if pose in ('carry', 'phone') else 0.5 * spread
    wrist = elbow + body.fore * _down(swing + bend, inward)
    tip = wrist + body.hand * _down(swing + bend + 0.1, inward)
    b = math.sqrt(body.build) * body.tall / 1.75
    texture, colour = wear.top
    sleeve = loft([shoulder + [0, -side * 0.06, 0.01], shoulder,
                   shoulder + 0.3 * (elbow - shoulder), elbow],
                  np.array([0.04, 0.056, 0.054, 0.045]) * b, 7)
    lower = loft([elbow, elbow + 0.3 * (wrist - elbow), wrist], np.array([.042, .042, .03]) * b, 7)
    hand = loft([wrist, (wrist + tip) / 2, tip], np.array([[.026, .022], [.042, .02], [.02, .014]])
                * b, 6)
    skin = ('skin', wear.skin)
    return [Part(sleeve, texture, colour, PERSON),
            Part(lower, *(skin if wear.bare_arms else (texture, colour)), PERSON),
            Part(hand, *skin, PERSON)]


def _head(body: _Body, wear: _Clothes, chest: np.ndarray, turn: np.ndarray) -> Parts:
    s = (body.tall / 1.75) ** 0.6
    base = chest + turn @ np.array([0.0, 0, 0.02])
    centre = chest + turn @ np.array([0.025, 0, body.neck + 0.068 * body.tall + 0.015])

    def at(mesh: Mesh) -> Mesh:
        return Mesh(mesh.vertices @ turn.T * s + centre, mesh.normals @ turn.T, mesh.uv,
                    mesh.faces)

    skin = [tube([base - [0, 0, 0.06], centre - [0, 0, 0.03]], 0.056 * s, 7),
            at(ellipsoid((0.094, 0.076, 0.118), (0, 0, 0), 9, 7, 2.2)),
            at(ellipsoid((0.02, 0.013, 0.026), (0.098, 0, -0.02), 5, 3))]
    parts = [Part(m, 'skin', wear.skin, PERSON) for m in skin]
    eyes = [at(ellipsoid((0.01, 0.014, 0.008), (0.083, y, 0.018), 5, 2)) for y in (-.033, .033)]
    parts += [Part(m, 'plain', BLACK, PERSON) for m in eyes]
    hair = [at(ellipsoid((0.1, 0.085, 0.095), (-0.018, 0, 0.038), 9, 5))]
    if wear.long_hair:
        hair.append(at(ellipsoid((0.05, 0.088, 0.15), (-0.06, 0, -0.06), 8, 5)))
    parts += [Part(m, 'hair', wear.hair, PERSON) for m in hair]
    if wear.hat:
        high = {'cap': 0.085, 'helmet': 0.11, 'beanie': 0.12}[wear.hat]
        colour = (0.95, 0.8, 0.1) if wear.hat == 'helmet' else wear.shoes
        hat = [at(ellipsoid((0.112, 0.095, high), (-0.01, 0, 0.05), 9, 5))]
        if wear.hat != 'beanie':
            hat.append(at(box((0.05, 0.07, 0.006), (0.12, 0, 0.065))))
        parts += [Part(m, 'fabric', colour, PERSON) for m in hat]
    return parts


def _skirt(body: _Body, wear: _Clothes, pelvis: np.ndarray) -> Part:
    length = wear.skirt * (body.thigh + body.shin)
    wide = 0.17 * body.build * body.tall / 1.75
    mesh = loft([pelvis - [0, 0, length], pelvis - [0, 0, 0.4 * length], pelvis + [0, 0, 0.07]],
                [[1.35 * wide, 1.3 * wide], [1.12 * wide, wide], [0.93 * wide, 0.7 * wide]], 10)
    return Part(mesh, *wear.legs, PERSON)


def _bag(body: _Body, kind: str, chest: np.ndarray, turn: np.ndarray,
         rng: np.random.Generator) -> Parts:
    if kind == 'backpack':
        mesh, at = ellipsoid((.09, .15, .23), (0, 0, 0), 8, 6, 4.0), (-.19 * body.build, 0, -.2)
    else:
        mesh, at = ellipsoid((.15, .05, .12), (0, 0, 0), 8, 5, 5.0), (0, .25 * body.build, -.5)
    pos = chest + turn @ (np.asarray(at) * body.tall / 1.75)
    return [Part(Mesh(mesh.vertices @ turn.T + pos, mesh.normals @ turn.T, mesh.uv, mesh.faces),
                 'fabric', tint(rng, 0.3), PERSON)]


def _seat(height: float, rng: np.random.Generator) -> Parts:
    """A stool or a block to sit on."""
    if rng.random() < 0.5:
        return [Part(lathe([(0.2, 0), (0.03, 0.03), (0.03, height - 0.05), (0.18, height - 0.04),
                            (0.18, height)]), 'plain', tint(rng))]
    return [Part(box((0.2, 0.22, height / 2), (0, 0, height / 2)), 'wood', WHITE)]
