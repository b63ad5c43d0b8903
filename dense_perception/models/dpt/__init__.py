"""DPT and Depth Anything V2, one set of classes."""

from dense_perception.models.dpt.config import DPTConfig
from dense_perception.models.dpt.model import DPT
from dense_perception.models.dpt.variants import CONFIGS

__all__ = ['CONFIGS', 'DPT', 'DPTConfig']
