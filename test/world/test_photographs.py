"""Photographs of materials: periodic, at real sizes, in the place of procedural textures."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the procedural world needs mujoco')

from dense_perception.world import builder as building
from dense_perception.world.builder import SceneBuilder
from dense_perception.world.photographs import _DYES, LISTING, Photographs
from dense_perception.world.renderer import Renderer, RenderError
from dense_perception.world.sampler import sample_frames
from dense_perception.world.textures import KINDS, pick_texture

BRICK, GRASS, FELT = ('miniworld/textures/brick_wall_1.png', 'miniworld/textures/grass_1.png',
                      'robosuite/models/assets/textures/gray-felt.png')


def png(image) -> bytes:
    return cv2.imencode('.png', image)[1].tobytes()


def write_archive(path, members) -> None:
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.fixture
def folder(tmp_path):
    """Bricks in level rows, grass brighter towards one corner and felt that is grey."""
    rows = np.zeros((64, 64, 3), np.uint8)
    rows[:] = (60, 60, 180)  # blue, green, red
    rows[::8] = 220
    slope = np.add.outer(np.arange(64), np.arange(64))[..., None] * np.array([.5, 1.6, .6])
    felt = np.random.default_rng(0).integers(40, 200, (64, 64, 1)).repeat(3, axis=2)
    write_archive(tmp_path / 'first.whl', {
        BRICK: png(rows), GRASS: png(slope.astype(np.uint8)),
        'miniworld/textures/lava_1.png': png(rows)})
    write_archive(tmp_path / 'second.whl', {FELT: png(felt.astype(np.uint8))})
    write_archive(tmp_path / 'third.whl', {'other/file.txt': 'else'})
    return tmp_path


def picks(photographs, kind, count=30):
    rng = np.random.default_rng(5)
    return [photographs.pick(kind, rng) for _ in range(count)]


def test_the_listing_names_kinds_that_exist_and_can_dye_what_it_dyes():
    assert {kind for photo in LISTING for kind in photo.kinds} <= set(KINDS)
    assert {kind for photo in LISTING if photo.dyed for kind in photo.kinds} <= set(_DYES)
    assert all(.2 < photo.metres < 4 for photo in LISTING)
    kinds = [(photo.member, kind, photo.metres) for photo in LISTING for kind in photo.kinds]
    assert len(kinds) == len(set(kinds))


def test_only_kinds_of_which_there_are_photographs_have_some(folder):
    photographs = Photographs(folder)
    assert all(photographs.pick(kind, np.random.default_rng(0)) is not None
               for kind in ('brick', 'wall', 'grass', 'floor', 'fabric'))
    assert photographs.pick('ceiling', np.random.default_rng(0)) is None
    assert sorted(photographs.checksums()) == ['first.whl', 'second.whl']


def test_what_does_not_repeat_is_mirrored_and_spans_twice_its_crop(folder):
    for texture in picks(Photographs(folder), 'grass'):
        image = texture.image.astype(int)
        assert image.shape == (512, 512, 3) and texture.image.dtype == np.uint8
        for axis in (0, 1):  # neighbours across the edge differ as little as any
            across = np.abs(image.take(0, axis) - image.take(-1, axis))
            assert across.max() <= np.abs(np.diff(image, axis=axis)).max() <= 8
        # A crop of half the photograph to all of it, twice, and 1.6 m times e^-0.3 to e^0.3.
        assert 1.6 * .74 < texture.metres < 3.2 * 1.35
        shades = np.ptp(image[..., 1].mean(axis=0))
        assert shades > 10  # it is a crop, and not one colour
    spans = [texture.metres for texture in picks(Photographs(folder), 'grass')]
    assert max(spans) > 1.7 * min(spans)


def test_bricks_are_whole_and_lie(folder):
    for texture in picks(Photographs(folder), 'brick'):
        image = texture.image.astype(int)
        assert 1.8 * .74 < texture.metres < 1.8 * 1.35
        assert (image == image[:, :1]).all()  # along a row nothing changes
        joints = image.mean(axis=(1, 2)) > image.mean()
        assert (np.diff(joints.astype(int)) == 1).sum() in (7, 8)  # all eight rows, the edge one


def test_looks_differ_and_felt_is_dyed(folder):
    textures = picks(Photographs(folder), 'floor')
    assert len({texture.image.tobytes() for texture in textures}) == len(textures)
    assert len({texture.index for texture in textures}) == len(textures)
    means = np.array([texture.image.mean(axis=(0, 1)) for texture in textures])
    assert np.ptp(means.mean(axis=1)) > 60 and (np.ptp(means, axis=1) > 20).any()
    pale = [texture.image.mean() for texture in picks(Photographs(folder), 'fabric')]
    assert min(pale) > 180  # what it is put on brings the colour


def test_a_pick_follows_from_the_generator(folder):
    for a, b in zip(picks(Photographs(folder), 'floor', 5), picks(Photographs(folder), 'floor', 5),
                    strict=True):
        assert (a.index, a.metres) == (b.index, b.metres)
        np.testing.assert_array_equal(a.image, b.image)


def test_a_scene_takes_photographs_of_a_share_of_its_textures(folder):
    names = {kind: set() for kind in ('floor', 'hall_floor', 'ceiling')}
    for seed in range(12):
        made = SceneBuilder(np.random.default_rng(seed), 'train', None, Photographs(folder))
        for kind in names:
            names[kind] |= {made.material(kind)[0].split('_')[0] for _ in range(3)}
        textures = [texture.name for texture in made.spec.textures]
        assert len(textures) == len(set(textures)) and max(map(len, textures)) <= 15
    assert names == {'floor': {'pic', 'floor'}, 'hall_floor': {'pic', 'hall'},
                     'ceiling': {'ceiling'}}


def test_without_photographs_nothing_else_is_drawn():
    made = SceneBuilder(np.random.default_rng(1), 'train')
    rng = np.random.default_rng(1)
    assert made.material('floor')[0] == f'floor_{pick_texture("floor", "train", rng).index}'


def test_frames_with_photographs_can_be_made_again(folder, monkeypatch):
    try:
        renderer = Renderer(160, 128)
    except RenderError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(building, '_PHOTOGRAPHED', 1.0)

    def frames(given):
        return list(sample_frames(3, 'train', 2, renderer, 160, 128, 'room', None, given))
    plain, pictured = frames(None), frames(Photographs(folder))
    again, plain_again = frames(Photographs(folder)), frames(None)
    renderer.close()
    assert any((a.image != b.image).any() for a, b in zip(plain, pictured, strict=True))
    for pair in (*zip(pictured, again, strict=True), *zip(plain, plain_again, strict=True)):
        np.testing.assert_array_equal(pair[0].image, pair[1].image)
        np.testing.assert_array_equal(pair[0].depth, pair[1].depth)


def test_what_is_wrong_is_said(tmp_path):
    write_archive(tmp_path / 'a.whl', {'other/file.txt': 'else'})
    with pytest.raises(FileNotFoundError,
                       match=r'no archive \(\*.whl\) with .* "pip download .* robosuite==1.5.2"'):
        Photographs(tmp_path)
    write_archive(tmp_path / 'b.whl', {BRICK: b'no image', GRASS: png(np.zeros((8, 8, 3)))})
    with pytest.raises(ValueError, match=r'b.whl" is damaged: .*brick_wall_1.png is not an image'):
        Photographs(tmp_path).pick('brick', np.random.default_rng(0))
    (tmp_path / 'b.whl').write_bytes((tmp_path / 'b.whl').read_bytes()
                                     .replace(b'no image', b'on image'))
    with pytest.raises(ValueError, match='b.whl" is damaged: Bad CRC-32 .*; download it again'):
        Photographs(tmp_path).pick('brick', np.random.default_rng(0))
    (tmp_path / 'a.whl').write_bytes(b'not a zip')
    with pytest.raises(ValueError, match='a.whl" is damaged: File is not a zip file; download it'):
        Photographs(tmp_path)
