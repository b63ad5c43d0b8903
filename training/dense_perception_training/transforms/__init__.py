"""Transforms: each takes a :class:`Sample` and a random generator, and gives another sample.

A transform is a frozen dataclass of its options, called as ``transform(sample, rng)``. Whatever
moves pixels moves the camera with them: after any chain, depth, normals, gravity and intrinsics
still describe one scene.
"""

from dense_perception_training.transforms.base import (
    TRANSFORMS,
    Chain,
    Transform,
    TransformError,
    generator,
    make_transform,
    register_transform,
)
from dense_perception_training.transforms.colour import (
    Colour,
    Exposure,
    Noise,
    Photometric,
    RandomConvolution,
    RobotCamera,
    UnevenLight,
    noisy,
)
from dense_perception_training.transforms.crops import (
    CentreCrop,
    KbCrop,
    NyuCrop,
    RandomCrop,
    ZoomCrop,
    crop,
    pad,
)
from dense_perception_training.transforms.hiding import Border, Spots, bordered
from dense_perception_training.transforms.resize import RandomScale, Resize, resize
from dense_perception_training.transforms.shading import AmbientOcclusion, Lamp
from dense_perception_training.transforms.turns import Flip, Rotate, flip, roll

__all__ = ['TRANSFORMS', 'AmbientOcclusion', 'Border', 'CentreCrop', 'Chain', 'Colour', 'Exposure',
           'Flip', 'KbCrop', 'Lamp', 'Noise', 'NyuCrop', 'Photometric', 'RandomConvolution',
           'RandomCrop', 'RandomScale', 'Resize', 'RobotCamera', 'Rotate', 'Spots',
           'Transform', 'TransformError', 'UnevenLight', 'ZoomCrop', 'bordered', 'crop', 'flip',
           'generator', 'make_transform', 'noisy', 'pad', 'register_transform', 'resize', 'roll']
