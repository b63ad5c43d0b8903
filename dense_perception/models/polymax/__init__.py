"""PolyMaX: dense prediction by clustering, for depth, segmentation, normals and other maps."""

from dense_perception.models.polymax.config import PolyMaXConfig
from dense_perception.models.polymax.polymax import PolyMaX
from dense_perception.models.polymax.variants import CONFIGS

__all__ = ['CONFIGS', 'PolyMaX', 'PolyMaXConfig']
