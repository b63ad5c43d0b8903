"""The semantic classes of the procedural world: what a robot has to tell apart."""

from __future__ import annotations

from dense_perception.inference.card import ClassInfo

GROUND, WALL, CEILING, SKY, FURNITURE, VEHICLE, PERSON, POLE = range(8)

CLASSES = (
    ClassInfo(GROUND, 'ground', (128, 96, 64)),
    ClassInfo(WALL, 'wall', (150, 150, 160)),
    ClassInfo(CEILING, 'ceiling', (220, 220, 190)),
    ClassInfo(SKY, 'sky', (110, 180, 235)),
    ClassInfo(FURNITURE, 'furniture', (240, 160, 40)),
    ClassInfo(VEHICLE, 'vehicle', (40, 90, 220)),
    ClassInfo(PERSON, 'person', (220, 30, 60)),
    ClassInfo(POLE, 'pole', (60, 200, 90)),
)
"""``wall`` includes buildings and fences; ``furniture`` is every other static object: shelves,
boxes, plants, clutter; ``pole`` includes pillars, lamp posts and tree trunks."""
