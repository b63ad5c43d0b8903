"""Random scenes at real sizes.

World frame (REP-103): z up, metres. Indoors and on a road the ground is at z = 0; elsewhere it
rises and falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from dense_perception.world import dining, indoors, outdoors, worktop
from dense_perception.world.builder import FAR, NEAR, Area, Circle, SceneBuilder, flat
from dense_perception.world.catalogue import Catalogue
from dense_perception.world.photographs import Photographs

KINDS = ('room', 'office', 'tabletop', 'corridor', 'hall', 'street', 'yard', 'trail', 'dining',
         'worktop')
# Of the scenes of no given kind. The last two are younger than the frames that models were
# compared on: they come by name, so that those frames can still be made again.
_SHARES = (0.15, 0.15, 0.1, 0.12, 0.14, 0.16, 0.12, 0.06, 0.0, 0.0)


@dataclass(frozen=True)
class Scene:
    """A compiled scene and where in it a camera can be.

    ``free`` is the rectangle (x0, y0, x1, y1) a robot may drive in; ``obstacles`` are circles
    (x, y, radius) on the ground; ``people`` and ``targets`` are points (x, y, z) worth looking at;
    ``ground(x, y)`` is the height of the ground a robot drives on. Geometries carry their class id
    in ``geom_user``.
    """

    kind: str
    model: mujoco.MjModel
    free: Area
    obstacles: tuple[Circle, ...]
    people: tuple[tuple[float, float, float], ...] = ()
    targets: tuple[tuple[float, float, float], ...] = ()
    ground: Callable[[float, float], float] = flat

    def clearance(self, x: float, y: float) -> float:
        """Metres from (x, y) to the nearest obstacle or edge of the free space; < 0 inside."""
        x0, y0, x1, y1 = self.free
        edges = (x - x0, x1 - x, y - y0, y1 - y)
        return min(*edges, *(math.hypot(x - ox, y - oy) - r for ox, oy, r in self.obstacles), 99.0)


def make_scene(seed: int | Sequence[int], split: str, kind: str | None = None,
               catalogue: Catalogue | None = None,
               photographs: Photographs | None = None) -> Scene:
    """A random scene; the same arguments always give the same scene.

    :param split: texture bank, ``train`` or ``held_out``.
    :param kind: one of :data:`KINDS`; None draws one of all but the last two.
    :param catalogue: modelled pieces that stand in for objects like them.
    :param photographs: of materials, which stand in for textures. They belong to no bank: what
        is measured on ``held_out`` must not have them.
    :raises ValueError: the kind or the split is unknown.
    """
    rng = np.random.default_rng(seed)
    kind = kind or str(rng.choice(KINDS, p=_SHARES))
    if kind not in _BUILDERS:
        raise ValueError(f'unknown kind of scene "{kind}"; choose from {", ".join(KINDS)}')
    builder = SceneBuilder(rng, split, catalogue, photographs)
    free = _BUILDERS[kind](builder)
    return Scene(kind, builder.spec.compile(), free, tuple(builder.obstacles),
                 tuple(builder.people), tuple(builder.targets), builder.ground)


_BUILDERS: dict[str, Callable[[SceneBuilder], Area]] = {
    'room': lambda b: indoors.room(b, 'home'), 'office': lambda b: indoors.room(b, 'office'),
    'tabletop': indoors.tabletop, 'corridor': indoors.corridor, 'hall': indoors.hall,
    'street': outdoors.street, 'yard': outdoors.yard, 'trail': outdoors.trail,
    'dining': dining.dining, 'worktop': worktop.worktop}

__all__ = ['FAR', 'KINDS', 'NEAR', 'Scene', 'make_scene']
