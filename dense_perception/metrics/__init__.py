"""Accuracy of depth, masks, normals and mattes: one definition for training, export and demo."""

from dense_perception.metrics.depth import (
    DepthAccuracy,
    DepthProtocol,
    depth_error_variants,
    depth_metrics,
)
from dense_perception.metrics.matting import MattingAccuracy, matting_metrics
from dense_perception.metrics.normals import NormalAccuracy, angular_errors
from dense_perception.metrics.segmentation import SegmentationAccuracy

__all__ = ['DepthAccuracy', 'DepthProtocol', 'MattingAccuracy', 'NormalAccuracy',
           'SegmentationAccuracy', 'angular_errors', 'depth_error_variants', 'depth_metrics',
           'matting_metrics']
