"""Things of the procedural world have real sizes, stand on the ground and are closed surfaces."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the procedural world needs mujoco')

from dense_perception.world import (
    clutter,
    dining,
    furniture,
    goods,
    nature,
    people,
    poles,
    vehicles,
)
from dense_perception.world.classes import FURNITURE, GROUND, PERSON, POLE, VEHICLE
from dense_perception.world.outdoors import Terrain
from dense_perception.world.parts import extent
from dense_perception.world.shapes import box, ellipsoid, lathe, loft, terrain, tube
from dense_perception.world.stairs import ramp, stairs

MAKERS = sorted({*clutter.DESK, *dining.TABLEWARE, *dining.SITTING, dining.dining_set,
                 *furniture.HOME, *furniture.OFFICE, furniture.radiator,
                 *goods.STORAGE, *goods.STREET, *poles.OUTDOOR, poles.pillar, nature.plant,
                 nature.tree, nature.bush, nature.rock, nature.tuft, vehicles.car, vehicles.van,
                 vehicles.forklift, vehicles.carrier, vehicles.bicycle, people.person,
                 people.group}, key=lambda maker: (maker.__module__, maker.__name__))
OWN = {'people': PERSON, 'poles': POLE, 'vehicles': VEHICLE}
LARGEST = {'clutter': 1.0, 'dining': 3.8, 'furniture': 3.0, 'goods': 4.5, 'nature': 10.0,
           'people': 3.0, 'poles': 8.5, 'vehicles': 7.5}


def inside_out(mesh) -> float:
    """Share of the area whose normals point against the winding."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    wrong = (normal * mesh.normals[mesh.faces].mean(axis=1)).sum(axis=1) < 0
    return float(area[wrong].sum() / area.sum())


@pytest.mark.parametrize('maker', MAKERS, ids=lambda m: f'{m.__module__[23:]}.{m.__name__}')
def test_makers(maker):
    home = maker.__module__.rsplit('.', 1)[-1]
    for seed in range(12):
        parts = maker(np.random.default_rng(seed))
        low, high = extent(parts)
        assert np.isfinite([low, high]).all()
        # Rocks, bushes and trunks go into the ground; a radiator hangs on a wall.
        sunk = 0.6 * (high[2] - low[2]) if home == 'nature' else 0.05
        assert -sunk < low[2] < (0.13 if maker is furniture.radiator else 0.045)
        assert high[2] > 0.005 and (high - low).max() < LARGEST[home]
        labels = {p.label for p in parts}
        assert OWN.get(home, FURNITURE) in labels
        assert labels <= {OWN.get(home, FURNITURE), FURNITURE, POLE} if home == 'nature' else (
            labels <= {OWN.get(home, FURNITURE), FURNITURE})
        for part in parts:
            mesh = part.mesh
            assert len(mesh.normals) == len(mesh.uv) == len(mesh.vertices)
            assert np.isfinite(mesh.normals).all() and np.isfinite(mesh.uv).all()
            assert mesh.faces.max() < len(mesh.vertices)
            assert inside_out(mesh) < 0.1  # lumps keep the normals that they had when round


@pytest.mark.parametrize('rows', [1, 3])
def test_seats_are_at_the_edges_of_the_table_and_face_it(rows):
    places = np.array(dining.seats(0.4, 0.9, rows))
    assert len(places) == len(np.unique(places, axis=0)) == 2 * rows + 2
    at_edge = np.isclose(abs(places[:, :2]), (0.4, 0.9))
    assert at_edge.any(axis=1).all() and (abs(places[:, :2]) <= (0.4, 0.9)).all()
    for (x, y, yaw), (on_side, _) in zip(places, at_edge, strict=True):
        ahead = np.cos(yaw), np.sin(yaw)
        assert ahead == pytest.approx((-np.sign(x), 0) if on_side else (0, -np.sign(y)))


def test_dining_sets_have_chairs_that_are_higher_than_the_table():
    tops = [extent(dining.dining_set(np.random.default_rng(seed)))[1, 2] for seed in range(20)]
    assert 0.8 < np.median(tops) < 1.2


def test_rugs_are_ground():
    for seed in range(5):
        low, high = extent(dining.rug(np.random.default_rng(seed)))
        assert low[2] == 0 and 0.003 < high[2] < 0.02
        assert {p.label for p in dining.rug(np.random.default_rng(seed))} == {GROUND}


@pytest.mark.parametrize('pose', people.POSES)
def test_people_have_human_proportions(pose):
    for seed in range(15):
        parts = [p for p in people.person(np.random.default_rng(seed), pose)
                 if p.label == PERSON]
        low, high = extent(parts)
        assert abs(low[2]) < 0.06
        tallest = 2.5 if pose in ('gesture', 'reach') else 2.1  # with a hat; an arm up
        assert (0.55 if pose in ('sit', 'crouch', 'bend') else 0.95) < high[2] < tallest
        assert 0.3 < high[1] - low[1] < 2.0
    standing = [extent(people.person(np.random.default_rng(s), 'stand'))[1, 2] for s in range(60)]
    assert 1.55 < np.median(standing) < 1.85


@pytest.mark.parametrize('mesh', [
    box((1, 2, 3)), ellipsoid((1, 1, 2)), ellipsoid((1, 2, 1), power=5.0),
    lathe([(1, 0), (0.5, 1), (1, 2)]), tube([(0, 0, 0), (1, 0, 0), (1, 1, 1)], 0.1),
    loft([(0, 0, 0), (1, 0, 0)], [[1, 2], [2, 1]], 12, 6.0, fixed=(1, 0, 0)),
    terrain(np.arange(4.0), np.arange(3.0), lambda x, y: 0.1 * x * y)],
    ids=['box', 'ellipsoid', 'cushion', 'lathe', 'tube', 'loft', 'terrain'])
def test_surfaces_face_outwards(mesh):
    assert inside_out(mesh) == 0
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


def test_volumes():
    assert volume(box((0.5, 0.5, 0.5))) == pytest.approx(1)
    assert volume(ellipsoid((1, 1, 1), sides=40, rings=40)) == pytest.approx(4.19, rel=0.02)
    assert volume(lathe([(1, 0), (1, 1)], sides=60)) == pytest.approx(np.pi, rel=0.01)


def volume(mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_terrain_answers_with_the_height_of_its_mesh():
    ground = Terrain.random(np.random.default_rng(1), 0.1)
    mesh = ground.part('grass').mesh
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    for x, y, z in middles[::17]:
        assert ground(x, y) == pytest.approx(z, abs=1e-9)


def test_stairs_and_ramps_are_ground_and_rise_from_it():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for parts in (stairs(rng, 1.5), ramp(rng, 1.5)):
            ground = [p for p in parts if p.label == GROUND]
            low, high = extent(ground)
            assert low[2] == pytest.approx(0, abs=1e-9) and 0.09 < high[2] < 3.0
            assert high[1] - low[1] == pytest.approx(1.5)
            assert {p.label for p in parts} <= {GROUND, FURNITURE}
