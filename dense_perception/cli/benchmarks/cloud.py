"""Building an organised xyzrgb+label cloud: ours, plain NumPy, a copy of its bytes, Open3D."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from dense_perception.cli.benchmarks.rounds import table, take_turns
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder, point_dtype

_OURS = 'dense_perception'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--width', type=int, default=640)
    parser.add_argument('--height', type=int, default=480)
    parser.add_argument('--rounds', type=int, default=40, help='turns of 5 clouds (default: 40)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Times of every way to build the cloud of one random frame."""
    rng = np.random.default_rng(0)
    size = (args.height, args.width)
    depth = rng.uniform(0.3, 20, size).astype(np.float32)
    depth[rng.random(size) < 0.1] = np.nan
    rgb = rng.integers(0, 256, (*size, 3), np.uint8)
    labels = rng.integers(0, 8, size, np.uint8)
    camera = Intrinsics(0.8 * args.width, 0.8 * args.width, args.width / 2, args.height / 2,
                        args.width, args.height)
    builder = CloudBuilder()
    cloud = builder.build(depth, camera, rgb, labels).copy()
    target = np.empty_like(cloud)
    rivals: dict[str, Callable[[], object]] = {
        _OURS: lambda: builder.build(depth, camera, rgb, labels),
        'plain NumPy': lambda: plain_numpy(depth, camera, rgb, labels),
        'copy of the bytes': lambda: np.copyto(target, cloud)}
    open3d = _open3d(depth, camera, rgb)
    if open3d is not None:
        rivals['Open3D (xyzrgb, unorganised)'] = open3d
    return {'size': f'{args.width}x{args.height}', 'bytes': cloud.nbytes,
            'results': take_turns(rivals, args.rounds)}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    return (f'Organised xyzrgb+label cloud, {result["size"]}, {result["bytes"] / 1e6:.1f} MB\n\n'
            + table(result['results'], _OURS))


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
