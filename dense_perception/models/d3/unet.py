"""Stable Diffusion's U-Net, and the inner maps of it that are aligned."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn

from dense_perception.models.d3.taps import tapping

ALIGNED = 10
"""Maps of the way up that are aligned, beside that of the middle; the last two are not."""


class FeatureUNet(UNet2DConditionModel):
    """diffusers' U-Net, with the maps that CleanDIFT and D3-Predictor align.

    ``mid`` is the output of the middle block, ``us1`` ... ``us10`` those of the residual blocks of
    the way up, each with the attention behind it; where an upsampler follows, its output takes the
    place of the last one of the level. At 768x768 they have 12, 12, 12, 24, 24, 24, 48, 48, 48, 96
    and 96 pixels a side.
    """

    @property
    def feature_widths(self) -> dict[str, int]:
        """Name -> channels of the aligned maps."""
        return {name: _channels(module) for name, module in self._tapped().items()}

    def denoise(self, latent: torch.Tensor, timestep: torch.Tensor,
                context: torch.Tensor) -> torch.Tensor:
        """The network's output as it is, float (B, 4, h, w).

        :param latent: float (B, 4, h, w), h and w multiples of 8.
        :param timestep: (B,) or scalar, 0..999; may need a gradient.
        :param context: float (1, tokens, D), the embedded text.
        """
        context = context.expand(len(latent), -1, -1)
        return self(latent, timestep, context, return_dict=False)[0]

    def with_features(self, latent: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor,
                      ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """:meth:`denoise`, and the aligned maps by name, as tokens: float (B, h w, D) each."""
        with tapping(self._tapped(), 0) as maps:
            output = self.denoise(latent, timestep, context)
        return output, {name: maps[name].flatten(2).transpose(1, 2)
                        for name in self.feature_widths}

    def noised(self, latent: torch.Tensor, noise: torch.Tensor,
               timestep: torch.Tensor) -> torch.Tensor:
        """What the diffusion makes of a latent until ``timestep``, int64 (B,)."""
        # Stable Diffusion's noise schedule, the same in all its versions.
        schedule = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')
        return schedule.add_noise(latent, noise, timestep)

    def _tapped(self) -> dict[str, nn.Module]:
        found: list[nn.Module] = []
        for block in self.up_blocks:
            level = list(getattr(block, 'attentions', None) or block.resnets)
            if block.upsamplers is not None:
                level[-1] = block.upsamplers[0]
            found += level
        return {'mid': self.mid_block,
                **{f'us{number + 1}': module for number, module in enumerate(found[:ALIGNED])}}


def _channels(module: nn.Module) -> int:
    """Channels of a tapped module's output."""
    return getattr(module, 'out_channels', None) or module.resnets[-1].out_channels
