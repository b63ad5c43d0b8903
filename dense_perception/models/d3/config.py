"""What defines a D3-Predictor; no diffusers needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PROMPTS = {
    'depth': 'A grayscale depth estimation image, where darker areas represent closer depths and '
             'lighter areas indicate farther depths.',
    'normals': 'A surface normal estimation map.',
    'alpha': 'A human portrait matting map.'}
"""Output -> the text that the network is conditioned on, the paper's (supplement, 6.2)."""

ENCODINGS = ('mode', 'sample')

SD21_UNET: dict[str, Any] = {
    'sample_size': 96, 'cross_attention_dim': 1024, 'attention_head_dim': (5, 10, 20, 20),
    'block_out_channels': (320, 640, 1280, 1280), 'use_linear_projection': True}
SD21_VAE: dict[str, Any] = {
    'down_block_types': ('DownEncoderBlock2D',) * 4, 'up_block_types': ('UpDecoderBlock2D',) * 4,
    'block_out_channels': (128, 256, 512, 512), 'layers_per_block': 2, 'sample_size': 768}

FLUX: dict[str, Any] = {'guidance_embeds': True}
FLUX_VAE: dict[str, Any] = {
    **SD21_VAE, 'latent_channels': 16, 'scaling_factor': 0.3611, 'shift_factor': 0.1159,
    'use_quant_conv': False, 'use_post_quant_conv': False, 'sample_size': 1024}

BACKBONES = {'unet': (SD21_UNET, SD21_VAE), 'dit': (FLUX, FLUX_VAE)}
"""Kind of denoiser -> arguments of diffusers for Stable Diffusion 2.1's and FLUX.1-dev's."""

TINY_UNET: dict[str, Any] = {
    'sample_size': 16, 'cross_attention_dim': 16, 'attention_head_dim': (1, 2, 4, 4),
    'block_out_channels': (16, 32, 64, 64), 'norm_num_groups': 8}
TINY_VAE: dict[str, Any] = {
    'block_out_channels': (8, 16, 24, 32), 'norm_num_groups': 4, 'layers_per_block': 1,
    'sample_size': 128}

TINY_DIT: dict[str, Any] = {
    'in_channels': 64, 'num_layers': 1, 'num_single_layers': 26, 'attention_head_dim': 16,
    'num_attention_heads': 2, 'joint_attention_dim': 16, 'pooled_projection_dim': 8,
    'axes_dims_rope': (4, 6, 6)}


@dataclass(frozen=True)
class D3Config:
    """A latent diffusion model whose denoiser predicts in one step, without noise.

    ``output``: ``depth``, ``normals`` or ``alpha``. ``backbone``: ``unet`` as in Stable Diffusion
    2.1, or ``dit`` as in FLUX.1-dev (experimental). ``denoiser``, ``vae``: what differs from these
    in the arguments of diffusers' ``UNet2DConditionModel`` (``FluxTransformer2DModel``) and
    ``AutoencoderKL``. ``encoding``: the latent of an image is the
    ``mode`` of its distribution, or a ``sample`` of it as in the authors' code, which makes every
    prediction another. ``timestep``: what the learned timestep starts at. ``tokens``: of the
    conditioning text. ``normal_axes``: signs that turn the network's x, y, z into the optical
    frame's. ``gradient_checkpointing``: in training, compute U-Net and decoder twice instead of
    keeping their activations. ``pretrained`` must be False: weights come by ``convert``.
    """

    output: str = 'depth'
    backbone: str = 'unet'
    denoiser: Mapping[str, Any] = field(default_factory=dict)
    vae: Mapping[str, Any] = field(default_factory=dict)
    encoding: str = 'mode'
    timestep: float = 261.0
    tokens: int = 77
    normal_axes: tuple[float, float, float] = (1.0, -1.0, -1.0)
    gradient_checkpointing: bool = False
    pretrained: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, 'normal_axes', tuple(self.normal_axes))  # JSON has lists only
        for name, choices in (('output', tuple(PROMPTS)), ('encoding', ENCODINGS),
                              ('backbone', tuple(BACKBONES))):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f'{name} "{value}" is unknown; choose from {", ".join(choices)}')
        if self.pretrained:
            raise ValueError('a D3-Predictor takes no pretrained=True; convert a Stable Diffusion '
                             '2.1 folder with "dense-perception convert" and start from that')
        if not 0 <= self.timestep <= 999:
            raise ValueError(f'timestep {self.timestep} must be in 0..999')
        if self.tokens < 1:
            raise ValueError(f'tokens {self.tokens} must be 1 or more')
