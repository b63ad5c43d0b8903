"""Transforms on a plane whose depth, normal and gravity are known at every pixel."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the training package needs mujoco')

from dense_perception_training.sample import Sample
from dense_perception_training.transforms import (
    TRANSFORMS,
    CentreCrop,
    Chain,
    Colour,
    Exposure,
    Flip,
    KbCrop,
    Noise,
    NyuCrop,
    Photometric,
    RandomConvolution,
    RandomCrop,
    RandomScale,
    Resize,
    RobotCamera,
    Rotate,
    TransformError,
    ZoomCrop,
    crop,
    flip,
    generator,
    make_transform,
    pad,
    resize,
    roll,
)

from dense_perception.geometry.camera import Intrinsics

CAMERA = Intrinsics(130.0, 118.0, 83.2, 55.1, 160, 120)  # pixels that are not square
NORMAL = np.array([0.25, -0.8, -0.3]) / np.linalg.norm([0.25, -0.8, -0.3])
DISTANCE = 1.3  # from the camera to the plane
GRAVITY = np.array([0.1, 0.95, 0.2]) / np.linalg.norm([0.1, 0.95, 0.2])
NEAREST = 0.5  # of inverse depth; what the picture shows as white


def inverse_depth(k: Intrinsics, normal: np.ndarray) -> np.ndarray:
    """1/z of the plane at every pixel: linear in u and v; <= 0 where the ray misses it."""
    x = (np.arange(k.width) - k.cx) / k.fx
    y = (np.arange(k.height) - k.cy) / k.fy
    return -(x[None] * normal[0] + y[:, None] * normal[1] + normal[2]) / DISTANCE


def classes_of(depth: np.ndarray) -> np.ndarray:
    bands = np.digitize(np.nan_to_num(depth, nan=1.0), [1.5, 2.5, 4.0]).astype(np.uint8)
    return np.where(np.isfinite(depth), bands, 255).astype(np.uint8)


def plane(k: Intrinsics = CAMERA) -> Sample:
    q = inverse_depth(k, NORMAL)
    depth = np.where(q > 0.1, 1 / np.maximum(q, 0.1), np.nan).astype(np.float32)
    shade = np.clip(q / NEAREST, 0, 1).astype(np.float32)
    normals = np.where(np.isfinite(depth)[..., None], NORMAL, np.nan).astype(np.float32)
    return Sample(np.repeat((255 * shade).round().astype(np.uint8)[..., None], 3, 2), 'plane',
                  depth, classes_of(depth), normals, shade, k, GRAVITY, 0.7)


def check(sample: Sample, source: Intrinsics, samplings: int) -> None:
    """The sample is the plane as its own intrinsics, normals and gravity say.

    :param samplings: how often depth was sampled, at pixels of ``source`` size or larger ones.
    """
    known = np.isfinite(sample.depth)
    assert known.mean() > 0.1
    normals = sample.normals[known]
    np.testing.assert_allclose(normals, np.broadcast_to(normals[0], normals.shape), atol=1e-6)
    normal = normals[0].astype(np.float64)
    assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-6)
    assert np.isnan(sample.normals[~known]).all()
    # The angle between the plane and gravity is the world's, whatever the camera does.
    assert sample.gravity @ normal == pytest.approx(GRAVITY @ NORMAL, abs=1e-6)
    assert np.linalg.norm(sample.gravity) == pytest.approx(1)
    q = inverse_depth(sample.intrinsics, normal)
    # One sampling is off by up to half a source pixel in u and in v.
    step = (abs(NORMAL[0]) / source.fx + abs(NORMAL[1]) / source.fy) / DISTANCE
    error = np.abs(1 / sample.depth[known] - q[known])
    assert error.max() <= samplings * (0.5 + 1 / 64) * step * 1.5 + 1e-6
    np.testing.assert_array_equal(sample.labels, classes_of(sample.depth))
    inside = np.isfinite(sample.alpha) & known & (q > 0.12) & (q < NEAREST - 0.02)
    np.testing.assert_allclose(sample.alpha[inside], q[inside] / NEAREST, atol=0.01)
    lit = inside & (sample.image[..., 0] > 0)  # pixels next to the border of a roll are darker
    assert np.mean(np.abs(sample.image[lit][:, 0] / 255 - q[lit] / NEAREST) < 0.012) > 0.98
    assert sample.camera_height == 0.7


GEOMETRIC = {
    'crop': (lambda s: crop(s, 13, 21, 70, 90), 0),
    'pad': (lambda s: pad(s, 150, 170), 0),
    'flip': (flip, 0),
    'double': (lambda s: resize(s, 240, 320), 1),
    'half': (lambda s: resize(s, 60, 80), 1),
    'third, cubic': (lambda s: resize(s, 41, 53, 'cubic'), 1),
    'stretched': (lambda s: resize(s, 97, 211), 1),
    'rolled': (lambda s: roll(s, 0.3), 1),
    'rolled back': (lambda s: roll(s, -0.04), 1),
    'rolled over': (lambda s: roll(s, np.pi), 1),
}


@pytest.mark.parametrize('name', GEOMETRIC)
def test_a_plane_stays_that_plane(name: str):
    move, samplings = GEOMETRIC[name]
    check(plane(), CAMERA, 0)
    check(move(plane()), CAMERA, samplings)


@pytest.mark.parametrize('seed', range(25))
def test_a_plane_survives_any_chain(seed: int):
    chain = Chain((Rotate(15, 0.7), RandomScale(0.7, 1.4), Flip(0.5), ZoomCrop(0.6),
                   Resize(90, 140), Rotate(2.5, 0.5), RandomCrop(80, 100), Flip(0.5),
                   Resize(130, 110, 'minimal', 16), CentreCrop(64, 64)))
    coarsest = CAMERA.resized(112, 84)
    result = chain(plane(), generator(seed))
    assert result.size == (64, 64)
    check(result, coarsest, 5)


def test_mirror_and_roll_undo_themselves():
    sample = plane()
    twice = flip(flip(sample))
    for field in fields(Sample):
        np.testing.assert_array_equal(getattr(twice, field.name), getattr(sample, field.name))
    back = roll(roll(sample, 0.2), -0.2)
    np.testing.assert_allclose(back.gravity, sample.gravity)
    assert back.intrinsics == sample.intrinsics


def test_a_positive_roll_turns_the_picture_clockwise():
    image = np.zeros((41, 61, 3), np.uint8)
    image[20, 50] = 255  # right of the middle
    turned = roll(Sample(image, 'dot'), np.pi / 2)
    row, column = np.unravel_index(turned.image[..., 0].argmax(), (41, 61))
    assert (row, column) == (40, 30)  # now below it


def test_metric_depth_does_not_change_with_the_image_size():
    sample = plane()
    values = set(np.unique(sample.depth[np.isfinite(sample.depth)]))
    bigger = resize(sample, 240, 320)
    assert set(np.unique(bigger.depth[np.isfinite(bigger.depth)])) == values
    assert bigger.intrinsics.fx == 2 * CAMERA.fx


def test_mattes_stay_between_0_and_1():
    alpha = np.zeros((20, 20), np.float32)
    alpha[:, 10:] = 1
    sample = Sample(np.zeros((20, 20, 3), np.uint8), 'x', alpha=alpha)
    resized = resize(sample, 33, 47, 'cubic').alpha
    assert resized.min() == 0 and resized.max() == 1
    assert len(np.unique(resized[0])) > 3


def test_given_arrays_are_not_changed():
    sample = plane()
    before = {f.name: np.copy(getattr(sample, f.name)) for f in fields(Sample)}
    for name in TRANSFORMS:
        if name not in ('random_crop', 'centre_crop', 'nyu_crop', 'kb_crop', 'resize'):
            make_transform(name)(sample, generator(3))
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(sample, name), value)


def test_published_crops():
    def coloured(height: int, width: int) -> Sample:
        rows, columns = np.mgrid[:height, :width]
        return Sample(np.stack([rows % 256, columns % 256, columns // 256], 2).astype(np.uint8),
                      'x', intrinsics=Intrinsics(500, 500, 300, 200, width, height))

    nyu = NyuCrop()(coloured(480, 640), generator(0))
    assert nyu.size == (427, 565) and nyu.image[0, 0].tolist() == [45, 43, 0]
    assert (nyu.intrinsics.cx, nyu.intrinsics.cy) == (257, 155)
    kitti = KbCrop()(coloured(375, 1242), generator(0))
    assert kitti.size == (352, 1216) and kitti.image[0, 0].tolist() == [23, 13, 0]
    with pytest.raises(TransformError, match='x: nyu_crop is for 640x480'):
        NyuCrop()(coloured(240, 320), generator(0))
    with pytest.raises(TransformError, match='only 640x480'):
        KbCrop()(coloured(480, 640), generator(0))
    with pytest.raises(TransformError, match='no window of 700x20'):
        CentreCrop(20, 700)(coloured(480, 640), generator(0))


def test_random_crop_pads_what_is_too_small():
    result = RandomCrop(200, 170)(plane(), generator(1))
    assert result.size == (200, 170)
    added = np.s_[120:, :]
    assert (result.image[added] == 0).all() and (result.labels[added] == 255).all()
    for name in ('depth', 'normals', 'alpha'):
        assert np.isnan(getattr(result, name)[added]).all()


def test_random_crop_avoids_windows_of_one_class():
    labels = np.zeros((40, 400), np.uint8)
    labels[:, 380:] = 1
    sample = Sample(np.zeros((40, 400, 3), np.uint8), 'x', labels=labels)

    def mixed(largest: float) -> float:
        crops = [RandomCrop(40, 40, largest)(sample, generator(i)) for i in range(60)]
        return np.mean([len(np.unique(c.labels)) > 1 for c in crops])

    assert mixed(0.75) > 2 * mixed(1.0)


def test_resize_keeps_the_aspect_ratio_by_rule():
    rng = generator(0)
    sample = Sample(np.zeros((480, 640, 3), np.uint8), 'x')
    assert Resize(384, 384, 'minimal', 32)(sample, rng).size == (384, 512)
    assert Resize(100, 100)(sample, rng).size == (100, 100)
    assert RandomScale(1, 1, base=(240, 240))(sample, rng).size == (180, 240)
    with pytest.raises(TransformError, match='rule "fit" is none of stretch'):
        Resize(3, 3, 'fit')


@pytest.mark.parametrize('transform', [Colour(share=1), Photometric(), Exposure(),
                                       RobotCamera(share=1), Noise(share=1),
                                       RandomConvolution(share=1)])
def test_colours_change_the_image_alone_and_follow_from_the_seed(transform):
    sample = replace(plane(), image=np.random.default_rng(0).integers(
        0, 256, (120, 160, 3), dtype=np.uint8))
    first, again, other = (transform(sample, generator(7, i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).any() and (first.image != sample.image).any()
    assert first.image.dtype == np.uint8 and first.image.shape == sample.image.shape
    assert replace(first, image=sample.image) == sample  # all other fields are the same objects


def test_colour_by_hand():
    image = np.full((2, 2, 3), 64, np.uint8)
    fixed = Colour(gamma=(0.5, 0.5), brightness=(1.5, 1.5), channels=(1, 1), share=1)
    value = fixed(Sample(image, 'x'), generator(0)).image
    assert (value == round(255 * (64 / 255) ** 0.5 * 1.5)).all()
    same = Colour((1, 1), (1, 1), (1, 1), 1)(Sample(image, 'x'), generator(0)).image
    assert (same == image).all()
    plain = Photometric(0, (1, 1), (1, 1), 0)
    assert all((plain(Sample(image, 'x'), generator(i)).image == image).all() for i in range(8))


def test_hue_turns_and_saturation_fades():
    red = np.full((1, 1, 3), (200, 20, 20), np.uint8)
    grey = Photometric(0, (1, 1), (0, 0), 0)
    found = {tuple(grey(Sample(red, 'x'), generator(i)).image[0, 0]) for i in range(12)}
    assert found == {(200, 20, 20), (200, 200, 200)}
    turned = Photometric(0, (1, 1), (1, 1), 60)
    colours = [turned(Sample(red, 'x'), generator(i)).image[0, 0] for i in range(20)]
    assert any(c[1] > 60 or c[2] > 60 for c in colours)


def test_noise_has_the_deviation_that_was_asked_for():
    image = np.full((200, 200, 3), 128, np.uint8)
    noisy = Noise(deviation=(12, 12), share=1)(Sample(image, 'x'), generator(0)).image
    assert np.std(noisy.astype(float), axis=(0, 1)) == pytest.approx(12, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.03
    drawn = [Noise((2, 32), 1)(Sample(image, 'x'), generator(i)).image.std() for i in range(40)]
    assert min(drawn) > 1.8 and max(drawn) < 33 and 5 < np.median(drawn) < 13


def test_uneven_light_is_smooth_and_of_the_strength_that_was_asked_for():
    sample = Sample(np.full((60, 80, 3), 100, np.uint8), 'x')
    light = make_transform('uneven_light', strength=0.3, share=1.0)
    gains = np.array([light(sample, generator(seed)).image[..., 0] / 100 for seed in range(60)])
    assert np.log(gains).std() == pytest.approx(0.3, abs=0.08)
    for gain in gains:
        assert np.abs(np.diff(gain, axis=1)).max() < 0.25 and gain.std() > 0.02
    assert (light(sample, generator(0)).image == light(sample, generator(0)).image).all()
    never = make_transform('uneven_light', share=0.0)(sample, generator(0))
    assert never.image is sample.image


@pytest.mark.parametrize('size', [1, 3, 5, 7])
def test_random_convolutions_leave_edges_where_they_are(size: int):
    image = np.full((40, 60, 3), (60, 90, 110), np.uint8)
    image[:, 25:] = (150, 120, 200)
    sample, reach = Sample(image, 'x'), size // 2
    assert (RandomConvolution((size,), 0.0)(sample, generator(0)).image == image).all()
    changed = 0
    for seed in range(12):
        other = RandomConvolution((size,), 1.0)(sample, generator(seed)).image.astype(int)
        assert (other == other[:1]).all()  # nothing was there from row to row, nothing is now
        for side in (other[0, :25 - reach], other[0, 25 + reach:]):
            assert (side == side[:1]).all()
        changed += (abs(other[0, [0, -1]] - image[0, [0, -1]]).max() > 15)
        assert other.mean() == pytest.approx(image.mean(), abs=8)  # no other exposure
    assert changed > 6


def test_random_convolutions_of_a_picture_of_nothing_are_that_picture():
    image = np.full((9, 9, 3), 77, np.uint8)
    for seed in range(4):
        assert (RandomConvolution(share=1)(Sample(image, 'x'), generator(seed)).image == 77).all()


def test_noise_and_filters_that_cannot_be_are_refused():
    for deviation in ((0, 3), (5, 2), 5, (1, 2, 3)):
        with pytest.raises(TransformError, match=r'noise: deviation is .* such as \[2.0, 48.0\]'):
            Noise(deviation)
    for sizes in ((), (3, 4), (-1,), (2.5,), 3):
        with pytest.raises(TransformError, match='random_convolution: sizes are .* odd'):
            make_transform('random_convolution', sizes=sizes)


def test_recipes_name_transforms():
    chain = Chain.from_config([{'transform': 'flip', 'share': 1.0},
                               {'transform': 'random_scale', 'base': [60, 80]},
                               {'transform': 'resize', 'height': 30, 'width': 40}])
    assert chain.transforms[0] == Flip(1.0) and chain.transforms[1].base == (60, 80)
    assert chain(plane(), generator(0)).size == (30, 40)
    for config, message in (([{'transform': 'flop'}], 'did you mean flip'),
                            ([{'transform': 'flip', 'rate': 1}], 'no option "rate"; it has share'),
                            ([{'transform': 'random_crop'}], "random_crop.*'height'"),
                            ([{'transform': 'flip', 'share': 7}], 'flip: share is 7; write'),
                            ([{'transform': 'noise', 'share': -0.1}], 'share is -0.1'),
                            ([{'transform': 'flip', 'share': 'most'}], 'share is most'),
                            ([{'transform': 'exposure', 'strength': -1}], 'strength is -1'),
                            ([{'flip': 1}], 'names no transform')):
        with pytest.raises(TransformError, match=message):
            Chain.from_config(config)


def test_generators_of_different_keys_differ():
    keys = [(1, 2), (1, 2, 0), (1, 2, 0, 0), (2, 1), (0, 1, 2), (1,)]
    assert len({generator(*key).integers(1 << 62) for key in keys}) == len(keys)
    assert generator(1, 2).integers(1 << 62) == generator(1, 2).integers(1 << 62)
