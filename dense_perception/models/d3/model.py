"""D3-Predictor: a diffusion model that predicts from the clean image, in one step."""

from __future__ import annotations

import copy
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from dense_perception.models.d3.alignment import ExpertAlignment
from dense_perception.models.d3.config import BACKBONES, D3Config
from dense_perception.models.d3.dit import FeatureTransformer
from dense_perception.models.d3.unet import FeatureUNet
from dense_perception.models.inputs import require_multiple


class LatentPredictor(nn.Module):
    """An image encoder, a denoiser that sees no noise, and a decoder.

    Xia, Jia et al., "D3-Predictor: Noise-Free Deterministic Diffusion for Dense Prediction". The
    raw output of the denoiser is decoded as the target's latent; no noise schedule is involved.

    ``forward``: float (B, 3, H, W) in -1..1, H and W multiples of :attr:`multiple` -> dict with
    ``depth`` (B, H, W), relative, larger = farther, 0..1, or ``normals`` (B, 3, H, W) in the
    optical frame, of any length, or ``alpha`` (B, H, W). In training, depth is not clamped, and
    there are two more: ``latent`` float (B, C, h, w) and ``features``, the denoiser's aligned maps
    by name, float (B, N, D) each, for :class:`ExpertAlignment`.

    The autoencoder is frozen; gradients go through its decoder. ``context`` is the embedded text,
    float (1, tokens, D), zero until weights are loaded: no text encoder is needed.

    :param denoiser: has ``denoise``, ``with_features``, ``feature_widths`` and ``noised``, see
        ``FeatureUNet``.
    :param width: D of the embedded text.
    """

    in_chans = 3

    def __init__(self, config: Any, denoiser: nn.Module, vae: AutoencoderKL, width: int,
                 multiple: int) -> None:
        super().__init__()
        self.config, self.multiple = config, multiple
        self.denoiser, self.vae = denoiser, vae.requires_grad_(False)
        self.timestep = nn.Parameter(torch.tensor(float(config.timestep)))
        self.register_buffer('context', torch.zeros(1, config.tokens, width))
        if config.gradient_checkpointing:
            self.denoiser.enable_gradient_checkpointing()
            self.vae.enable_gradient_checkpointing()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class.

        :raises ValueError: H or W is not such a multiple; the message proposes the next size.
        """
        require_multiple(x, self.multiple)
        if not self.training:
            timestep = self.timestep.detach()
            return self._outputs(self.denoiser.denoise(self.encode(x), timestep, self.context))
        with torch.no_grad():
            latent = self.encode(x)
        prediction, features = self.denoiser.with_features(latent, self.timestep, self.context)
        return {**self._outputs(prediction), 'latent': latent, 'features': features}

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The scaled latent of images, float (B, C, H / 8, W / 8)."""
        found = self.vae.encode(x).latent_dist
        latent = found.mode() if self.config.encoding == 'mode' else found.sample()
        return (latent - self._shift) * self.vae.config.scaling_factor

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """The image of a scaled latent, float (B, 3, H, W), about -1..1."""
        latent = latent / self.vae.config.scaling_factor + self._shift
        return self.vae.decode(latent, return_dict=False)[0]

    @property
    def _shift(self) -> float:
        return self.vae.config.shift_factor or 0.0

    def alignment(self, strata: int = 3) -> ExpertAlignment:
        """What aligns the denoiser with what it is now; to be made before training begins."""
        return ExpertAlignment(copy.deepcopy(self.denoiser), self.context, strata)

    def _outputs(self, latent: torch.Tensor) -> dict[str, torch.Tensor]:
        image = self.decode(latent)
        if self.config.output == 'normals':
            return {'normals': image * image.new_tensor(self.config.normal_axes).view(1, 3, 1, 1)}
        grey = image.mean(1) / 2 + 0.5
        if self.config.output == 'depth' and not self.training:
            # Clamped colour by colour, as what is published is.
            grey = (image / 2 + 0.5).clamp(0, 1).mean(1)
        return {self.config.output: grey}


class D3Predictor(LatentPredictor):
    """D3-Predictor as configured; see :class:`LatentPredictor`.

    >>> model = D3Predictor(D3Config(denoiser=TINY_UNET, vae=TINY_VAE)).eval()
    >>> model(torch.zeros(1, 3, 64, 128))['depth'].shape
    torch.Size([1, 64, 128])
    """

    def __init__(self, config: D3Config) -> None:
        usual, usual_vae = BACKBONES[config.backbone]
        options = {**usual, **_tuples(config.denoiser)}
        vae = AutoencoderKL(**{**usual_vae, **_tuples(config.vae)})
        halvings = len(vae.config.block_out_channels) - 1
        if config.backbone == 'unet':
            unet = FeatureUNet(**options)
            halvings += len(unet.config.block_out_channels) - 1
            super().__init__(config, unet, vae, unet.config.cross_attention_dim, 2 ** halvings)
        else:
            dit = FeatureTransformer(**options)
            super().__init__(config, dit, vae, dit.config.joint_attention_dim, 2 ** halvings * 2)


def _tuples(options: Any) -> dict[str, Any]:
    """JSON has lists only; diffusers tells lists from tuples."""
    return {key: tuple(value) if isinstance(value, list) else value
            for key, value in options.items()}
