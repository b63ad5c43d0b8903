"""Pieces of furniture libraries: real sizes, the right way round, in the place of like objects."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('mujoco', reason='the procedural world needs mujoco')
pytest.importorskip('trimesh', reason='catalogues of modelled pieces need trimesh')

from dense_perception.geometry.camera import Intrinsics
from dense_perception.world import furniture, people, stairs, vehicles
from dense_perception.world.builder import SceneBuilder
from dense_perception.world.catalogue import Catalogue, load, read_library
from dense_perception.world.classes import FURNITURE, PERSON, VEHICLE
from dense_perception.world.parts import Part, extent
from dense_perception.world.renderer import Renderer, RenderError, View
from dense_perception.world.sampler import sample_frames
from dense_perception.world.scene import Scene
from dense_perception.world.shapes import box
from dense_perception.world.textures import Texture

# A wedge: its front, towards +z, is a low edge; its back a wall of one unit. One face is textured.
WEDGE = """mtllib piece.mtl
v 0 0 0
v 2 0 0
v 2 0 1
v 0 0 1
v 0 1 0
v 2 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl picture
f 5/4 4/1 3/2
f 5/4 3/2 6/3
usemtl red
f 2/1 1/1 5/1
f 2/1 5/1 6/1
f 1/1 4/1 5/1
f 2/1 6/1 3/1
f 1/1 2/1 3/1
f 1/1 3/1 4/1
"""
LOOKS = """newmtl picture
Kd 1 1 1
map_Kd piece.png
newmtl red
Kd 0.8 0.1 0.1
"""


def entry(number: int, name: str, category: str, width: float, depth: float, height: float,
          **more: object) -> str:
    """Lines of a listing, in centimetres."""
    fields = {'id': f'test#{name}', 'name': name, 'category': category, 'width': width,
              'depth': depth, 'height': height, 'model': f'/m/{name}/piece.obj', **more}
    return ''.join(f'{key}#{number}={value}\n' for key, value in fields.items())


def write_library(path, entries, models=(), picture=None, wedge=WEDGE) -> None:
    """A library whose pieces are all wedges."""
    image = io.BytesIO()
    if picture is None:  # white above, green below
        picture = Image.new('RGB', (8, 8), 'white')
        picture.paste((0, 128, 0), (0, 4, 8, 8))
    picture.save(image, 'png')
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('PluginFurnitureCatalog.properties', ''.join(entries))
        for name in models:
            archive.writestr(f'm/{name}/piece.obj', wedge)
            archive.writestr(f'm/{name}/piece.mtl', LOOKS)
            archive.writestr(f'm/{name}/piece.png', image.getvalue())


@pytest.fixture
def folder(tmp_path):
    """Furniture of many sizes, a car, a man and what is to be left out."""
    entries, models = [], []
    sizes = [(10, 12, 15), (25, 20, 20), (45, 45, 90), (80, 60, 75), (160, 80, 74), (200, 90, 80),
             (90, 40, 190)]
    for k, size in enumerate(sizes):
        entries.append(entry(k + 1, f'thing{k}', 'Living room', *size))
    entries += [entry(20, 'car', 'Vehicles', 175, 430, 148), entry(21, 'man', 'Characters', 60,
                                                                   35, 180),
                entry(22, 'cat', 'Characters', 18, 40, 30),
                entry(23, 'door', 'Doors and windows', 80, 10, 200, doorOrWindow='true'),
                entry(24, 'lamp', 'Lights', 30, 30, 20, elevation=220),
                entry(25, 'arrow', 'Exterior', 100, 300, 0.1)]
    models = [f'thing{k}' for k in range(len(sizes))] + ['car', 'man', 'cat']
    write_library(tmp_path / 'test.sh3f', entries, models)
    return tmp_path


def test_listing(folder):
    pieces = {p.id[5:]: p for p in Catalogue(folder).pieces}
    assert {'door', 'lamp', 'arrow'}.isdisjoint(pieces) and len(pieces) == 10
    assert pieces['thing4'].size == (0.8, 1.6, 0.74) and pieces['thing4'].label == FURNITURE
    assert [pieces[k].label for k in ('car', 'man', 'cat')] == [VEHICLE, PERSON, FURNITURE]


def test_a_piece_has_its_size_stands_on_the_ground_and_looks_forward(folder):
    piece = next(p for p in Catalogue(folder).pieces if p.id == 'test#thing4')
    parts = load(piece)
    np.testing.assert_allclose(extent(parts), [[-.4, -.8, 0], [.4, .8, .74]], atol=1e-9)
    slope, = (p for p in parts if isinstance(p.texture, Texture))
    rest, = (p for p in parts if not isinstance(p.texture, Texture))
    np.testing.assert_allclose(rest.colour, (.8, .1, .1), atol=.01)
    # The slope rises from the front edge, at x = +0.4, to the back.
    high = slope.mesh.vertices[:, 2] > .5
    np.testing.assert_allclose(slope.mesh.vertices[high, 0], -.4)
    for part in parts:  # wound outwards, and normals that agree
        a, b, c = (part.mesh.vertices[part.mesh.faces[:, k]] for k in range(3))
        wound = np.cross(b - a, c - a)
        assert ((wound * part.mesh.normals[part.mesh.faces].mean(axis=1)).sum(axis=1) > 0).all()
        assert ((wound * (a - [-.15, 0, .25])).sum(axis=1) > 0).all()


def test_a_turned_model(tmp_path):
    # The model lies on its back: its y becomes z.
    write_library(tmp_path / 'a.sh3f', [entry(1, 'a', 'Office', 50, 30, 70,
                                              modelRotation='1 0 0 0 0 -1 0 1 0')], ['a'])
    parts = load(Catalogue(tmp_path).pieces[0])
    np.testing.assert_allclose(extent(parts), [[-.15, -.25, 0], [.15, .25, .7]], atol=1e-9)


@pytest.mark.parametrize(('picture', 'wedge'), [
    pytest.param(Image.new('RGBA', (8, 8), (0, 90, 0, 0)), WEDGE, id='leaves with holes'),
    pytest.param(None, WEDGE + 'f 1/1 2/1 3/1\n' * 40_000, id='too many faces'),
    pytest.param(None, 'v 1 2\nf 1 2 9\n', id='damaged')])
def test_models_that_cannot_be_used_are_empty(tmp_path, picture, wedge):
    write_library(tmp_path / 'a.sh3f', [entry(1, 'a', 'Office', 50, 30, 70)], ['a'], picture,
                  wedge)
    catalogue = Catalogue(tmp_path)
    assert load(catalogue.pieces[0]) == []
    assert catalogue.make(catalogue.pieces[0], np.random.default_rng(0)) == []


def test_like_objects_stand_in(folder):
    catalogue, rng, stood = Catalogue(folder), np.random.default_rng(0), set()
    for _ in range(20):
        for maker, label in ((furniture.table, FURNITURE), (vehicles.car, VEHICLE),
                             (people.person, PERSON)):
            parts = maker(rng)
            found = catalogue.like(parts, rng)
            if found is None:
                continue
            assert {p.label for p in found} == {label}
            stood.add(label)
            if label == VEHICLE:
                ratio = np.ptp(extent(found), axis=0) / np.ptp(extent(parts), axis=0)
                assert (np.abs(np.log(ratio)) < np.log(1.5) + 1e-9).all()
    assert stood == {FURNITURE, VEHICLE, PERSON}
    assert catalogue.like([Part(box((.4, .8, .37)))], rng)
    assert catalogue.like([Part(box((40, .8, .37)))], rng) is None
    assert catalogue.like(stairs.stairs(rng, 2.0, 2.0), rng) is None  # of another class


def test_small_pieces_lie_on_large_ones_and_not_within_each_other(folder):
    catalogue, laden = Catalogue(folder), 0
    table = next(p for p in catalogue.pieces if p.id == 'test#thing4')
    for seed in range(20):
        parts = catalogue.make(table, np.random.default_rng(seed))[2:]
        laden += bool(parts)
        for part in parts:
            assert part.mesh.vertices[:, 2].min() > .739
            assert np.abs(part.mesh.vertices[:, :2]).max() < 1.0
        things = [extent(parts[k:k + 2]) for k in range(0, len(parts), 2)]  # two parts a wedge
        centres = [box.mean(axis=0)[:2] for box in things]
        for k, centre in enumerate(centres):  # the smallest of them is 10 by 12 cm
            assert all(np.hypot(*(centre - other)) > .15 for other in centres[:k])
    assert laden > 5


def test_scenes_with_a_catalogue(folder):
    try:
        renderer = Renderer(160, 128)
    except RenderError as error:
        pytest.skip(str(error))
    catalogue = Catalogue(folder)

    def frames(given):
        return list(sample_frames(3, 'train', 2, renderer, 160, 128, 'tabletop', given))
    plain, modelled, again = frames(None), frames(catalogue), frames(catalogue)
    assert any((a.image != b.image).any() for a, b in zip(plain, modelled, strict=True))
    for a, b in zip(modelled, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.depth, b.depth)
    renderer.close()


def test_pictures_are_the_right_way_up(folder):
    """The slope's picture is white at the top of the image, and that is its upper end."""
    try:
        renderer = Renderer(160, 128)
    except RenderError as error:
        pytest.skip(str(error))
    builder = SceneBuilder(np.random.default_rng(0), 'train')
    piece = next(p for p in Catalogue(folder).pieces if p.id == 'test#thing3')
    builder.place(load(piece), 0, 0, 0)
    builder.ambient((.9, .9, .9))
    renderer.load(Scene('test', builder.spec.compile(), (-3, -3, 3, 3), ()))
    frame = renderer.render(View(1.5, 0, .6, np.pi, .15), Intrinsics(150, 150, 80, 64, 160, 128))
    renderer.close()
    rows, columns = np.nonzero(frame.labels == FURNITURE)
    assert len(rows) > 500
    middle = frame.image[:, int(np.median(columns))].astype(int)
    upper, lower = middle[rows.min() + 5], middle[rows.max() - 5]
    greener = [v[1] - v[0] for v in (upper, lower)]
    assert greener[0] < 40 < greener[1]  # white, then green


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match='no furniture library .* sweethome3d-furniture'):
        Catalogue(tmp_path)
    (tmp_path / 'a.sh3f').write_bytes(b'not a zip')
    with pytest.raises(ValueError, match='a.sh3f" is not a Sweet Home 3D furniture library'):
        Catalogue(tmp_path)
    with zipfile.ZipFile(tmp_path / 'a.sh3f', 'w') as archive:
        archive.writestr('something.txt', 'else')
    with pytest.raises(ValueError, match='not a Sweet Home 3D furniture library'):
        Catalogue(tmp_path)
    read_library.cache_clear()
    write_library(tmp_path / 'a.sh3f', [entry(1, 'a', 'Office', 50, 30, 'tall')], ['a'])
    with pytest.raises(ValueError, match="incomplete: could not convert string to float: 'tall'"):
        Catalogue(tmp_path)
    write_library(tmp_path / 'a.sh3f', ['category#1=Office\n'])
    with pytest.raises(ValueError, match="incomplete: 'width'"):
        Catalogue(tmp_path)
