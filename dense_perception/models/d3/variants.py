"""The registered D3-Predictors. diffusers is imported only when one of them is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from dense_perception.models.d3.config import TINY_DIT, TINY_UNET, TINY_VAE, D3Config
from dense_perception.models.inputs import HALF_MEAN, HALF_STD, InputSpec
from dense_perception.models.registry import register_model

CONFIGS: dict[str, D3Config] = {}
"""Registered name -> configuration."""

INSTALL = 'pip install "dense_perception[d3]"'
_MULTIPLE = 64
_PAPER = 'D3-Predictor'
_TASKS = {'depth': 'depth', 'normals': 'normals', 'alpha': 'matting'}


def require_diffusers(name: str) -> None:
    """Refuse to build a model without the library that it is made of.

    :raises ValueError: diffusers is not installed; the message says how it would be.
    """
    try:
        import diffusers  # noqa: F401
    except ModuleNotFoundError:
        raise ValueError(f'model "{name}" is built on diffusers, which is not installed: '
                         f'{INSTALL}') from None


def _register(name: str, config: D3Config, about: str, side: int, paper: str) -> None:
    def build(**overrides: Any) -> nn.Module:
        require_diffusers(name)
        from dense_perception.models.d3.model import D3Predictor
        return D3Predictor(replace(config, **overrides))

    build.__name__, build.__doc__ = name, about
    CONFIGS[name] = config
    spec = InputSpec(side, side, _MULTIPLE, 'stretch', 'linear', HALF_MEAN, HALF_STD)
    register_model('d3', (_TASKS[config.output],), spec, paper,
                   depth_convention='affine' if config.output == 'depth' else None)(build)


for _task, _output, _table in (('depth', 'depth', 'Table 1'), ('normals', 'normals', 'Table 2'),
                               ('matting', 'alpha', 'Table 3')):
    _full = D3Config(output=_output)
    _register(f'd3_{_task}', _full, f'D3-Predictor on Stable Diffusion 2.1: {_task}.', 768,
              f'{_PAPER}, {_table}')
    _register(f'd3_tiny_{_task}', replace(_full, denoiser=TINY_UNET, vae=TINY_VAE),
              f'The same layout with narrow layers, for tests: {_task}.', 128, _PAPER)

_register('d3_tiny_dit_depth', D3Config(backbone='dit', denoiser=TINY_DIT, vae=TINY_VAE),
          "Experimental: depth on a transformer of FLUX's layout, tiny.", 128,
          f'{_PAPER}, Table 6')
