"""Recognises what a D3-Predictor can begin with: Stable Diffusion, CleanDIFT, its own weights."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from dense_perception.models.checkpoints.keys import KeyTable, Rule, State, rule
from dense_perception.models.checkpoints.layout import Layout
from dense_perception.models.d3.config import SD21_UNET, SD21_VAE, D3Config
from dense_perception.models.d3.variants import CONFIGS, require_diffusers

FOLDER = 'Stable Diffusion (diffusers)'
OLD_FOLDER = 'Stable Diffusion (diffusers before 0.18)'
D3 = 'D3-Predictor'
CLEANDIFT = 'CleanDIFT'
UNET = 'U-Net (diffusers)'
KINDS = (FOLDER, OLD_FOLDER, D3, CLEANDIFT, UNET)

WITHOUT_VAE = (D3, CLEANDIFT, UNET)
"""Kinds that are a U-Net, as a rule alone: the rest comes from a folder of Stable Diffusion."""

_CLEAN = 'unet_feature_extractor_cleandift'
_TOP = ('conv_in', 'time_embedding', 'down_blocks', 'mid_block', 'up_blocks', 'conv_norm_out',
        'conv_out')
# Attention of the autoencoder, as the published folders of Stable Diffusion name it.
_OLD_NAMES = {'query': 'to_q', 'key': 'to_k', 'value': 'to_v', 'proj_attn': 'to_out.0'}
_WORDS = {'normal': 'd3_normals', 'matting': 'd3_matting', 'alpha': 'd3_matting'}

# A key that every checkpoint of a kind has, and none of those after it.
_SIGNS = {D3: 'd3_predictor.conv_in.weight', CLEANDIFT: f'{_CLEAN}.conv_in.weight',
          OLD_FOLDER: 'vae.encoder.mid_block.attentions.0.query.weight',
          FOLDER: 'unet.conv_in.weight', UNET: 'conv_in.weight'}


def table_of(layout: Layout) -> KeyTable:
    """The key table of a layout of this system."""
    modern: list[Rule] = [rule('unet', 'denoiser'), rule('vae', 'vae')]
    attention = 'vae.{}.mid_block.attentions.0.{}'
    old = [rule(attention.format(half, theirs), attention.format(half, ours))
           for half in ('encoder', 'decoder') for theirs, ours in _OLD_NAMES.items()]
    return KeyTable({
        FOLDER: modern, OLD_FOLDER: [*old, *modern],
        D3: [rule('d3_predictor', 'denoiser'), rule('ae.ae', 'vae'),
             rule('timestep', 'timestep')],
        CLEANDIFT: [rule(_CLEAN, 'denoiser')],
        UNET: [rule(name, f'denoiser.{name}') for name in _TOP]}[layout.kind])


def detect(state: State, config: Mapping[str, Any], name: str) -> Layout | None:
    """See the package; None if the keys are of another system.

    :param config: by part, ``unet``, ``vae`` and ``text_encoder``, as they lie in a folder of
        diffusers; without, the sizes of Stable Diffusion 2.1 are assumed.
    """
    kind = next((kind for kind, sign in _SIGNS.items() if sign in state), None)
    if kind is None or (kind == UNET and 'mid_block.resnets.0.conv1.weight' not in state):
        return None
    word = next((word for word in _WORDS if re.search(word, name.lower())), None)
    variant = _WORDS[word] if word else 'd3_depth'
    require_diffusers(variant)
    return Layout(kind, variant, _overrides(config, CONFIGS[variant]))


def _overrides(config: Mapping[str, Any], registered: D3Config) -> dict[str, Any]:
    """Fields of the configuration in which the parts are not those of Stable Diffusion 2.1."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    found = {'denoiser': _unusual(config.get('unet', {}), UNet2DConditionModel, SD21_UNET),
             'vae': _unusual(config.get('vae', {}), AutoencoderKL, SD21_VAE)}
    tokens = config.get('text_encoder', {}).get('max_position_embeddings', registered.tokens)
    if tokens != registered.tokens:
        found['tokens'] = tokens
    return {field: value for field, value in found.items() if value}


def _unusual(part: Mapping[str, Any], cls: type, usual: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {name: parameter.default for name, parameter
                in inspect.signature(cls).parameters.items()} | dict(usual)
    return {name: value for name, value in part.items()
            if name in defaults and _plain(value) != _plain(defaults[name])}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
