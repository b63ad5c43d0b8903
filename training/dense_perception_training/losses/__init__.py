"""Losses: each takes the model's outputs and a batch, and gives one scalar.

A loss is a frozen dataclass of its options, called as ``loss(outputs, batch)``. ``outputs`` is the
model's dict, ``batch`` that of ``data``: ``depth`` float (B, H, W) metres with NaN unknown,
``labels`` int64 (B, H, W) with 255 unknown, ``normals`` float (B, 3, H, W) with NaN unknown, ...
A batch without a single valid pixel gives 0 with a gradient of 0, never NaN. A loss that learns
along with the model, or compares with what the model was, has ``bind(model)`` instead of being
callable itself.
"""

from dense_perception_training.losses.alignment import ExpertAlignment
from dense_perception_training.losses.base import (
    LOSSES,
    Criterion,
    Loss,
    LossError,
    Term,
    make_loss,
    register_loss,
)
from dense_perception_training.losses.classification import ClassCrossEntropy
from dense_perception_training.losses.clusters import DeepSupervision, PixelContrast
from dense_perception_training.losses.depth import (
    AffineInvariantL1,
    DepthRegression,
    GradientMatching,
    HeightNormalisedLog,
    LogGradient,
    RelativeSquared,
    SILog,
)
from dense_perception_training.losses.matting import AlphaGradient, AlphaRegression
from dense_perception_training.losses.normals import NormalAngle, NormalL2
from dense_perception_training.losses.segmentation import CrossEntropy, Dice, Focal
from dense_perception_training.losses.teaching import Agreement

__all__ = ['LOSSES', 'AffineInvariantL1', 'Agreement', 'AlphaGradient', 'AlphaRegression',
           'ClassCrossEntropy', 'Criterion', 'CrossEntropy', 'DeepSupervision', 'DepthRegression',
           'Dice', 'ExpertAlignment', 'Focal', 'GradientMatching', 'HeightNormalisedLog',
           'LogGradient', 'Loss', 'LossError', 'NormalAngle', 'NormalL2', 'PixelContrast',
           'RelativeSquared', 'SILog', 'Term', 'make_loss', 'register_loss']
