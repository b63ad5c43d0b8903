"""D3-Predictor: Stable Diffusion as a one-step predictor. Its classes need diffusers."""

from dense_perception.models.d3.config import PROMPTS, D3Config
from dense_perception.models.d3.variants import CONFIGS

__all__ = ['CONFIGS', 'PROMPTS', 'D3Config']
