"""Clouds: time of each step against other ways to do it, and what filter and split are worth."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from dense_perception.cli.benchmarks.cloud_quality import quality
from dense_perception.cli.benchmarks.rounds import table, take_turns
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder, point_dtype, within
from dense_perception.geometry.depth_edges import FlyingPixels
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import ClassInfo, ModelCard
from dense_perception.inference.prediction import Prediction
from dense_perception.ros.cloud_settings import CloudSettings
from dense_perception.ros.cloud_stage import CloudStage, Wants

_OURS = 'dense_perception'
_ALL = 'all clouds'
_GROUND, _OBJECT = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--width', type=int, default=640)
    parser.add_argument('--height', type=int, default=480)
    parser.add_argument('--rounds', type=int, default=40, help='turns of 5 clouds (default: 40)')
    parser.add_argument('--source', default='demo', help='frames with true depth, labels and '
                        'mount, as of the demo (default: demo)')
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--frames', type=int, default=40, help='frames of the source to take, '
                        'every fifth; 0 = only measure times (default: 40)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Times of one made-up frame, and figures over frames with truth."""
    scene = _Scene(args.width, args.height)
    builder = CloudBuilder()
    cloud = builder.build(scene.depth, scene.camera, scene.image, scene.labels).copy()
    target = np.empty_like(cloud)
    inputs = scene.depth, scene.camera, scene.image, scene.labels
    rivals: dict[str, Callable[[], object]] = {
        _OURS: lambda: builder.build(*inputs), 'plain NumPy': lambda: plain_numpy(*inputs),
        'copy of the bytes': lambda: np.copyto(target, cloud)}
    open3d = _open3d(scene.depth, scene.camera, scene.image)
    if open3d is not None:
        rivals['Open3D (xyzrgb, unorganised)'] = open3d
    result = {'size': f'{args.width}x{args.height}', 'bytes': cloud.nbytes,
              'results': take_turns(rivals, args.rounds), 'steps': _steps(scene, args.rounds)}
    if args.frames:
        result['quality'] = quality(args.source, args.model, args.frames)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    parts = [f'Organised xyzrgb+label cloud, {result["size"]}, {result["bytes"] / 1e6:.1f} MB',
             table(result['results'], _OURS),
             f'Steps of the node on a frame predicted at {result["size"]}',
             table(result['steps'], _ALL)]
    if 'quality' in result:
        figures = result['quality']
        parts += [f'{figures["frames"]} frames of {figures["source"]}, percent of pixels',
                  _rows(figures['flying']), _rows(figures['split'])]
    return '\n\n'.join(parts)


class _Scene:
    """A floor, a wall with holes of unknown depth, and a box: about what a robot sees."""

    def __init__(self, width: int, height: int) -> None:
        self.camera = Intrinsics(0.8 * width, 0.8 * width, width / 2, height / 2, width, height)
        self.mount = Mount.from_pitch_roll(0.15, 0.02, 0.8)
        rng = np.random.default_rng(0)
        floor = self.mount.ground_depth(self.camera)
        self.depth = np.fmin(floor, np.float32(6))
        box = np.s_[height // 3:3 * height // 4, width // 3:width // 2]
        self.depth[box] = np.fmin(self.depth[box], np.float32(2))
        self.labels = np.where(self.depth == floor, _GROUND, _OBJECT).astype(np.uint8)
        self.depth[rng.random(self.depth.shape) < 0.02] = np.nan
        self.image = rng.integers(0, 256, (height, width, 3), np.uint8)
        self.confidence = rng.integers(0, 256, (height, width), np.uint8)

    @property
    def card(self) -> ModelCard:
        """Of a model that could have predicted this."""
        height, width = self.labels.shape
        return ModelCard(
            name='scene', system='made up', variant='benchmark', tasks=('depth', 'segmentation'),
            input_height=height, input_width=width, size_multiple=1, depth_convention='metric',
            outputs=('depth', 'labels', 'confidence'),
            classes=(ClassInfo(_GROUND, 'ground', (0, 0, 0)), ClassInfo(_OBJECT, 'object',
                                                                        (0, 0, 0))))


def _steps(scene: _Scene, rounds: int) -> dict[str, dict[str, float]]:
    """Times of the steps of ``CloudStage``, with labels and confidence in the cloud."""
    prediction = Prediction(scene.depth, scene.labels, scene.confidence, True)
    stage, finder, settings = CloudStage(scene.card), FlyingPixels(), CloudSettings()
    builder, keep = CloudBuilder(), within(scene.depth)

    def run(wants: Wants, settings: CloudSettings = settings) -> object:
        judgement = stage.judge(prediction, scene.camera, scene.mount, wants, settings)
        return stage.build(judgement, prediction, scene.image, scene.camera, wants, settings)

    kept = replace(settings, flying_pixels='keep')
    with _publishing(scene) as publish:
        return take_turns({
            _ALL: lambda: run(Wants(True, True, True)),
            'points alone': lambda: run(Wants(points=True)),
            'points alone, flying pixels kept': lambda: run(Wants(points=True), kept),
            'obstacles alone': lambda: run(Wants(obstacles=True)),
            'of these: find flying pixels': lambda: finder.find(scene.depth),
            'of these: build the cloud': lambda: builder.build(
                scene.depth, scene.camera, scene.image, scene.labels, scene.confidence, None,
                keep),
            'publish xyzrgb+label': publish}, rounds)


@contextlib.contextmanager
def _publishing(scene: _Scene) -> Iterator[Callable[[], object]]:
    """A call that publishes the xyzrgb+label cloud to a subscriber in this process."""
    import rclpy
    from sensor_msgs.msg import PointCloud2
    from std_msgs.msg import Header

    from dense_perception.cli.processes import free_domain
    from dense_perception.ros import dds
    from dense_perception.ros.publishing import OutputPublisher

    dds.use_shipped_profile()
    context = rclpy.Context()
    context.init(domain_id=free_domain())
    node = rclpy.create_node('dense_perception_benchmark', context=context)
    publisher = OutputPublisher(node, PointCloud2, 'points')
    node.create_subscription(PointCloud2, 'points', lambda _: None, 1, raw=True)
    points = CloudBuilder().build(scene.depth, scene.camera, scene.image, scene.labels)
    header = Header(frame_id='camera')
    yield lambda: publisher.publish_array(points, '', header)
    node.destroy_node()
    context.try_shutdown()


def plain_numpy(depth: np.ndarray, camera: Intrinsics, rgb: np.ndarray,
                labels: np.ndarray) -> np.ndarray:
    """The cloud as one would write it down first."""
    across, down = camera.ray_slopes()
    cloud = np.zeros(depth.shape, point_dtype(rgb=True, label=True))
    z = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))
    cloud['x'], cloud['y'], cloud['z'] = z * across, z * down[:, None], z
    wide = rgb.astype(np.uint32)
    cloud['rgb'] = (wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]).view(np.float32)
    cloud['label'] = labels
    return cloud


def _open3d(depth: np.ndarray, camera: Intrinsics,
            rgb: np.ndarray) -> Callable[[], object] | None:
    try:
        import open3d
    except ImportError:
        return None
    geometry = open3d.geometry
    pinhole = open3d.camera.PinholeCameraIntrinsic(
        camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)

    def build() -> object:
        rgbd = geometry.RGBDImage.create_from_color_and_depth(
            geometry.Image(rgb), geometry.Image(depth), depth_scale=1.0, depth_trunc=1e3,
            convert_rgb_to_intensity=False)
        return geometry.PointCloud.create_from_rgbd_image(rgbd, pinhole)

    return build


def _rows(figures: dict[str, dict[str, float | None]]) -> str:
    names = list(next(iter(figures.values()), {}))
    lines = [f'| | {" | ".join(n.replace("_", " ") for n in names)} |',
             '|---' * (len(names) + 1) + '|']
    lines += [f'| {what} | ' + ' | '.join('-' if row[n] is None else f'{row[n]:.2f}'
                                           for n in names) + ' |'
              for what, row in figures.items()]
    return '\n'.join(lines)
