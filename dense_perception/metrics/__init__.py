"""Accuracy of depth, masks, normals, mattes and obstacles: one definition for every user."""

from dense_perception.metrics.depth import (
    DepthAccuracy,
    DepthProtocol,
    depth_error_variants,
    depth_metrics,
)
from dense_perception.metrics.matting import MattingAccuracy, matting_metrics
from dense_perception.metrics.normals import NormalAccuracy, angular_errors
from dense_perception.metrics.obstacles import ObstacleAccuracy, ObstacleGrid
from dense_perception.metrics.segmentation import SegmentationAccuracy

__all__ = ['DepthAccuracy', 'DepthProtocol', 'MattingAccuracy', 'NormalAccuracy',
           'ObstacleAccuracy', 'ObstacleGrid', 'SegmentationAccuracy', 'angular_errors',
           'depth_error_variants', 'depth_metrics', 'matting_metrics']
