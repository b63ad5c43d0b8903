"""The procedural world: repeatable, metric, and with textures that training never sees."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

mujoco = pytest.importorskip('mujoco', reason='the procedural world needs mujoco')

from dense_perception.geometry.camera import Intrinsics  # noqa: E402
from dense_perception.world.classes import CLASSES, GROUND, SKY  # noqa: E402
from dense_perception.world.drive import Leg, drive  # noqa: E402
from dense_perception.world.renderer import Renderer, RenderError, View  # noqa: E402
from dense_perception.world.sampler import sample_frames  # noqa: E402
from dense_perception.world.scene import KINDS, make_scene  # noqa: E402
from dense_perception.world.textures import make_texture, pick_texture  # noqa: E402

CAMERA = Intrinsics(100.0, 110.0, 83.0, 60.0, 160, 128)


@pytest.fixture
def renderer():
    try:
        renderer = Renderer(CAMERA.width, CAMERA.height)
    except RenderError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


@pytest.mark.parametrize('kind', KINDS)
def test_ground_is_where_the_mount_says(kind, renderer):
    scene = make_scene(5, 'train', kind)
    renderer.load(scene)
    view = View(0.3, 0.2, 0.9, 0.7, pitch=0.35, roll=0.08)
    frame = renderer.render(view, CAMERA)
    ground = frame.labels == GROUND
    assert ground.mean() > 0.02
    expected = frame.mount.ground_depth(CAMERA)
    # The depth buffer's resolution, at the far end of what counts.
    near = ground & (expected < 60)
    np.testing.assert_allclose(frame.depth[near], expected[near], rtol=2e-3)


def test_sky_and_only_sky_has_no_depth(renderer):
    renderer.load(make_scene(1, 'train', 'yard'))
    frame = renderer.render(View(0, 0, 1.0, 0.5, pitch=-0.2), CAMERA)
    np.testing.assert_array_equal(np.isnan(frame.depth), frame.labels == SKY)
    assert (frame.labels == SKY).any()


def test_frames_can_be_made_again_in_any_order(renderer):
    first = list(sample_frames(3, 'train', 2, renderer, CAMERA.width, CAMERA.height))
    list(sample_frames(4, 'train', 1, renderer, CAMERA.width, CAMERA.height))
    again = list(sample_frames(3, 'train', 2, renderer, CAMERA.width, CAMERA.height))
    other = list(sample_frames(3, 'held_out', 2, renderer, CAMERA.width, CAMERA.height))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.labels, b.labels)
        assert (a.image != c.image).any()


def test_scenes_show_every_class(renderer):
    seen = np.zeros(len(CLASSES), bool)
    for seed in range(8):
        for frame in sample_frames(seed, 'train', 4, renderer, CAMERA.width, CAMERA.height):
            seen[np.unique(frame.labels)] = True
    assert seen.all(), [c.name for c in CLASSES if not seen[c.id]]


def test_texture_banks_share_nothing():
    rng = np.random.default_rng(0)
    banks = {split: {pick_texture('wall', split, rng).index for _ in range(300)}
             for split in ('train', 'held_out')}
    assert not banks['train'] & banks['held_out']
    images = [make_texture('wall', i).image for i in sorted(banks['held_out'])]
    for a, b in itertools.combinations(images, 2):
        assert (a != b).any()


def test_textures_are_periodic():
    image = make_texture('vegetation', 3).image.astype(float)
    steps = np.abs(np.diff(image, axis=0)).mean()
    seam = np.abs(image[0] - image[-1]).mean()
    assert seam < 2 * steps


def test_drive_moves_smoothly_and_keeps_clear(renderer):
    renderer.close()  # drive brings its own
    frames = list(drive(0, 160, 120, 5.0, legs=[Leg(3, 'hall', 4.0)]))
    assert len(frames) == 20
    heights = {round(f.mount.height, 6) for f in frames}
    assert len(heights) == 1
    assert min(np.nanmin(f.depth) for f in frames) > 0.1
    assert any((a.image != b.image).any() for a, b in itertools.pairwise(frames))


def test_unknown_kind_lists_the_choices():
    with pytest.raises(ValueError, match='room, corridor, hall, street, yard'):
        make_scene(0, 'train', 'moon')


def test_renderer_refuses_intrinsics_of_another_size(renderer):
    renderer.load(make_scene(0, 'train', 'room'))
    with pytest.raises(ValueError, match='160x128'):
        renderer.render(View(0, 0, 1, 0), CAMERA.resized(80, 64))
