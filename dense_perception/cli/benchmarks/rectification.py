"""Rectifying one image for the network: one look-up, a look-up at camera size, cv2.undistort."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from dense_perception.cli.benchmarks.rounds import table, take_turns
from dense_perception.cli.command import CommandError
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import Distortion
from dense_perception.geometry.rectification import Rectification
from dense_perception.geometry.resampling import halved, halvings

_OURS = 'dense_perception'
_LENS = (-0.28, 0.09, 0.001, -0.002, -0.01)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--size', default='640x480', metavar='WxH',
                        help='size of the images (default: 640x480)')
    parser.add_argument('--network-size', default='288x224', metavar='WxH',
                        help='size that the network takes (default: 288x224)')
    parser.add_argument('--rounds', type=int, default=40, help='turns of 5 images (default: 40)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Times of every way from a distorted image to a rectified one of network size."""
    size, network = _size(args.size), _size(args.network_size)
    camera = Intrinsics(0.8 * size[0], 0.8 * size[0], size[0] / 2, size[1] / 2, *size)
    lens = Distortion('plumb_bob', _LENS)
    to_network = Rectification(camera, lens, np.eye(3), camera.resized(*network))
    to_camera = Rectification(camera, lens, np.eye(3), camera)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 2)

    def resize(pixels: np.ndarray) -> np.ndarray:
        times = halvings(min(size[0] / network[0], size[1] / network[1]))
        return cv2.resize(halved(pixels, times), network, interpolation=cv2.INTER_LINEAR)

    rivals: dict[str, Callable[[], object]] = {
        _OURS: lambda: to_network.apply(image),
        'look-up at camera size, then resize': lambda: resize(to_camera.apply(image)),
        'look-up at camera size alone': lambda: to_camera.apply(image),
        'cv2.undistort of every frame, then resize': lambda: resize(
            cv2.undistort(image, camera.matrix, np.array(_LENS))),
        'resize alone, nothing rectified': lambda: resize(image),
        'building the look-up, once per calibration': lambda: Rectification(
            camera, lens, np.eye(3), camera.resized(*network))}
    return {'size': args.size, 'network_size': args.network_size, 'opencv': cv2.__version__,
            'results': take_turns(rivals, args.rounds)}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    return (f'Rectified image at network size, {result["size"]} to {result["network_size"]}, '
            f'OpenCV {result["opencv"]}\n\n' + table(result['results'], _OURS))


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.split('x'))
    except ValueError:
        raise CommandError(f'size "{text}" is not of the form 640x480') from None
    if width <= 0 or height <= 0:
        raise CommandError(f'size {text} is not positive')
    return width, height
