"""The procedural world: repeatable, metric, and with textures that training never sees."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

mujoco = pytest.importorskip('mujoco', reason='the procedural world needs mujoco')

from dense_perception.geometry.camera import Intrinsics  # noqa: E402
from dense_perception.world.classes import CLASSES, GROUND, PERSON, SKY  # noqa: E402
from dense_perception.world.drive import Leg, drive  # noqa: E402
from dense_perception.world.renderer import Renderer, RenderError, View  # noqa: E402
from dense_perception.world.sampler import sample_frames  # noqa: E402
from dense_perception.world.scene import KINDS, make_scene  # noqa: E402
from dense_perception.world.textures import KINDS as TEXTURES  # noqa: E402
from dense_perception.world.textures import SIZE, make_texture, pick_texture  # noqa: E402
from dense_perception.world.viewpoints import Cameras  # noqa: E402

CAMERA = Intrinsics(100.0, 110.0, 83.0, 60.0, 160, 128)


@pytest.fixture
def renderer():
    try:
        renderer = Renderer(CAMERA.width, CAMERA.height)
    except RenderError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


def free_view(scene, pitch=0.35, roll=0.08) -> View:
    """A camera where there is room for one."""
    rng = np.random.default_rng(0)
    x0, y0, x1, y1 = scene.free
    places = rng.uniform((x0, y0), (x1, y1), (60, 2))
    x, y = max(places, key=lambda place: scene.clearance(*place))
    return View(x, y, 0.9, 0.7, pitch, roll, scene.ground(x, y))


def in_world(frame, view) -> tuple[np.ndarray, np.ndarray]:
    """Where the camera is, and the world vector to every pixel's point at depth 1."""
    v, u = np.mgrid[:CAMERA.height, :CAMERA.width]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy,
                     np.ones(u.shape)], -1)
    return np.array([view.x, view.y, view.ground + view.height]), rays @ view.rotation().T


@pytest.mark.parametrize('kind', ['room', 'office', 'tabletop', 'corridor'])
def test_level_ground_is_where_the_mount_says(kind, renderer):
    scene = make_scene(4, 'train', kind)
    renderer.load(scene)
    frame = renderer.render(free_view(scene), CAMERA)
    ground = frame.labels == GROUND
    assert ground.mean() > 0.02
    expected = frame.mount.ground_depth(CAMERA)
    # The depth buffer's resolution, at the far end of what counts.
    near = ground & (expected < 60)
    np.testing.assert_allclose(frame.depth[near], expected[near], rtol=2e-3)


@pytest.mark.parametrize('kind', ['street', 'yard', 'trail'])
def test_uneven_ground_is_where_the_scene_says(kind, renderer):
    scene = make_scene(4, 'train', kind)
    heights = [scene.ground(x, y) for x in range(-9, 10, 3) for y in range(-9, 10, 3)]
    assert max(heights) - min(heights) > 0.03
    renderer.load(scene)
    view = free_view(scene)
    frame = renderer.render(view, CAMERA)
    eye, rays = in_world(frame, view)
    points = eye + rays * frame.depth[..., None]
    seen = points[(frame.labels == GROUND) & (frame.depth < 30)]
    error = np.array([abs(z - scene.ground(x, y)) for x, y, z in seen])
    assert len(seen) > 500
    assert np.mean(error < 0.02) > 0.95  # the rest: faces of kerbs, rocks that are cut


@pytest.mark.parametrize('kind', KINDS)
def test_depth_is_what_a_ray_meets(kind, renderer):
    scene = make_scene(7, 'train', kind)
    renderer.load(scene)
    view = free_view(scene, 0.15)
    frame = renderer.render(view, CAMERA)
    data = mujoco.MjData(scene.model)
    mujoco.mj_forward(scene.model, data)
    eye, rays = in_world(frame, view)
    hit, agree = 0, 0
    geom = np.zeros(1, np.int32)
    for row in range(3, CAMERA.height, 12):
        for column in range(3, CAMERA.width, 12):
            depth = mujoco.mj_ray(scene.model, data, eye, rays[row, column].copy(), None, 1, -1,
                                  geom)
            if depth > 0.1:
                hit += 1
                agree += (abs(frame.depth[row, column] / depth - 1) < 5e-3
                          and frame.labels[row, column] == scene.model.geom_user[geom[0], 0])
    assert hit > 50
    assert agree > 0.97 * hit  # the rest: edges of things, less than a pixel away


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


def test_kinds_come_in_the_order_in_which_the_shipped_frames_were_drawn():
    # Another mixture would give other frames than those that the model card was measured on.
    kinds = [make_scene([seed, 1], 'held_out').kind for seed in range(8)]
    assert kinds == ['yard', 'tabletop', 'yard', 'office', 'trail', 'street', 'hall', 'street']


@pytest.mark.parametrize(('kind', 'geometries', 'vertices'), [
    ('tabletop', 88, 7645), ('room', 206, 9054), ('corridor', 89, 5815), ('street', 179, 24376),
    ('dining', 70, 9462), ('worktop', 61, 3586)])
def test_scenes_are_those_that_the_shipped_model_was_trained_on(kind, geometries, vertices):
    # What draws one more random number on the way makes other scenes of the same seed.
    model = make_scene([3, 0], 'train', kind).model
    assert (model.ngeom, model.nmeshvert) == (geometries, vertices)


def test_scenes_of_one_kind_alone(renderer):
    named = next(sample_frames(3, 'train', 1, renderer, CAMERA.width, CAMERA.height, 'dining'))
    drawn = next(sample_frames(3, 'train', 1, renderer, CAMERA.width, CAMERA.height))
    assert (named.image != drawn.image).any()
    with pytest.raises(ValueError, match='unknown kind of scene "diner"; choose from room, '):
        next(sample_frames(3, 'train', 1, renderer, CAMERA.width, CAMERA.height, 'diner'))


def test_scenes_show_every_class(renderer):
    seen = np.zeros(len(CLASSES), bool)
    for seed in range(12):
        for frame in sample_frames(seed, 'train', 4, renderer, CAMERA.width, CAMERA.height):
            seen[np.unique(frame.labels)] = True
    assert seen.all(), [c.name for c in CLASSES if not seen[c.id]]


@pytest.mark.parametrize('kind', ['floor', 'wall', 'grass', 'packaging', 'keys'])
def test_texture_banks_share_nothing(kind):
    rng = np.random.default_rng(0)
    banks = {split: {pick_texture(kind, split, rng).index for _ in range(300)}
             for split in ('train', 'held_out')}
    assert not banks['train'] & banks['held_out']
    train, held_out = ([make_texture(kind, i).image.tobytes() for i in sorted(banks[split])]
                       for split in ('train', 'held_out'))
    assert not set(train) & set(held_out)


def test_every_texture_is_an_image_of_known_size():
    for kind, index in itertools.product(TEXTURES, range(4)):
        texture = make_texture(kind, index)
        assert texture.image.shape == (SIZE, SIZE, 3) and texture.image.dtype == np.uint8
        assert 0.1 < texture.metres < 10


def test_textures_are_periodic():
    image = make_texture('grass', 3).image.astype(float)
    steps = np.abs(np.diff(image, axis=0)).mean()
    seam = np.abs(image[0] - image[-1]).mean()
    assert seam < 2 * steps


def test_people_are_seen_often_enough_to_be_learnt(renderer):
    shares = [np.mean(frame.labels == PERSON) for seed in range(12)
              for frame in sample_frames(seed, 'train', 3, renderer, CAMERA.width, CAMERA.height)]
    assert 0.02 < np.mean(shares) < 0.15
    assert 0.25 < np.mean(np.array(shares) > 0.005) < 0.9


def test_drive_moves_smoothly_and_keeps_clear(renderer):
    renderer.close()  # drive brings its own
    frames = list(drive(0, 160, 120, 5.0, legs=[Leg(3, 'hall', 4.0)]))
    assert len(frames) == 20
    heights = {round(f.mount.height, 6) for f in frames}
    assert len(heights) == 1
    assert min(np.nanmin(f.depth) for f in frames) > 0.1
    assert any((a.image != b.image).any() for a, b in itertools.pairwise(frames))


def test_most_cameras_over_worktops_are_near_and_look_down():
    # What they are over is in reach: a table of 0.65 to 1 m.
    near = 0
    for seed in range(6):
        scene = make_scene([seed, 0], 'train', 'worktop')
        x0, y0, x1, y1 = scene.free
        assert scene.targets and all(0.65 <= z <= 1 for _, _, z in scene.targets)
        for number in range(60):
            view = Cameras().view(scene, np.random.default_rng([seed, number]))
            assert x0 < view.x < x1 and y0 < view.y < y1
            near += any(math.hypot(view.x - x, view.y - y) < 1.4 and 0.3 < view.height - z < 1.15
                        and abs(view.pitch - math.atan2(
                            view.height - z, math.hypot(view.x - x, view.y - y))) < 0.4
                        for x, y, z in scene.targets)
    assert 0.75 < near / 360 < 0.9


@pytest.mark.parametrize('kind', ['dining', 'street'])
def test_cameras_beside_something_look_past_it_into_the_open(kind):
    beside = turned = ahead = usual = 0
    for seed in range(4):
        scene = make_scene([seed, 0], 'train', kind)
        for number in range(40):
            for cameras in (Cameras(beside=True), Cameras()):
                view = cameras.view(scene, np.random.default_rng([seed, number]))
                away, bearing = min(
                    (math.hypot(x - view.x, y - view.y) - r,
                     abs(math.remainder(math.atan2(y - view.y, x - view.x) - view.yaw, math.tau)))
                    for x, y, r in scene.obstacles)
                if not cameras.beside:
                    usual += away < 1.1
                    continue
                beside += 0.2 <= away <= 1.1
                turned += bearing > 0.3
                ahead += scene.clearance(view.x + 2 * math.cos(view.yaw),
                                         view.y + 2 * math.sin(view.yaw)) > -0.5
    assert beside == 160 > usual
    assert turned > 140 and ahead > 100


def test_fields_of_view_are_as_asked():
    rng = np.random.default_rng(0)
    for lens in ((45, 100), (20, 30)):
        across = [math.degrees(2 * math.atan(k.width / 2 / k.fx)) for k in (
            Cameras(lens).intrinsics(160, 128, rng) for _ in range(200))]
        assert lens[0] <= min(across) < lens[0] + 2 and lens[1] - 2 < max(across) <= lens[1]
    with pytest.raises(ValueError, match='from 60 to 30 degrees'):
        Cameras((60, 30))


def test_unknown_kind_lists_the_choices():
    with pytest.raises(ValueError, match='room, office, tabletop, corridor, hall, street, yard'):
        make_scene(0, 'train', 'moon')


def test_renderer_refuses_intrinsics_of_another_size(renderer):
    renderer.load(make_scene(0, 'train', 'room'))
    with pytest.raises(ValueError, match='160x128'):
        renderer.render(View(0, 0, 1, 0), CAMERA.resized(80, 64))
