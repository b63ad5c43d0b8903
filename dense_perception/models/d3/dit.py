"""FLUX's transformer as the denoiser, as the D3-Predictor paper sketches it. Experimental.

The paper (6.1.2) says what is aligned, the last 25 single-stream blocks, and no more; there is no
published code. Everything else here is our reading.
"""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from dense_perception.models.d3.taps import tapping

ALIGNED = 25
_PATCH = 2
_GUIDANCE = 3.5  # what FLUX.1-dev is usually sampled with


class FeatureTransformer(FluxTransformer2DModel):
    """diffusers' FLUX transformer, with the tokens of its last single-stream blocks.

    It is shown latents in patches of 2x2. ``s0``, ``s1``, ... are the image tokens behind each of
    the last 25 single-stream blocks, or of all if there are fewer. The pooled text is zero.
    """

    @property
    def feature_widths(self) -> dict[str, int]:
        """Name -> channels of the aligned tokens."""
        return dict.fromkeys(self._tapped(), self.inner_dim)

    def denoise(self, latent: torch.Tensor, timestep: torch.Tensor,
                context: torch.Tensor) -> torch.Tensor:
        """The network's output as it is, float (B, C, h, w); see ``FeatureUNet.denoise``."""
        batch, channels, height, width = latent.shape
        rows, columns = height // _PATCH, width // _PATCH
        tokens = latent.view(batch, channels, rows, _PATCH, columns, _PATCH)
        tokens = tokens.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)
        guidance = (latent.new_full((batch,), _GUIDANCE) if self.config.guidance_embeds
                    else None)
        out = self(tokens, context.expand(batch, -1, -1),
                   latent.new_zeros(batch, self.config.pooled_projection_dim),
                   (timestep / 1000).expand(batch), _positions(rows, columns, latent),
                   latent.new_zeros(context.shape[1], 3), guidance, return_dict=False)[0]
        out = out.view(batch, rows, columns, channels, _PATCH, _PATCH)
        return out.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, height, width)

    def with_features(self, latent: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor,
                      ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """:meth:`denoise`, and the aligned tokens by name, float (B, N, D) each."""
        with tapping(self._tapped(), 1) as maps:  # text is 0, image is 1
            output = self.denoise(latent, timestep, context)
        return output, {name: maps[name] for name in self._tapped()}

    def noised(self, latent: torch.Tensor, noise: torch.Tensor,
               timestep: torch.Tensor) -> torch.Tensor:
        """On the straight line from latent to noise at ``timestep`` of 1000 (rectified flow)."""
        share = (timestep / 1000).view(-1, 1, 1, 1).to(latent.dtype)
        return (1 - share) * latent + share * noise

    def _tapped(self) -> dict[str, nn.Module]:
        blocks = list(self.single_transformer_blocks)[-ALIGNED:]
        return {f's{number}': block for number, block in enumerate(blocks)}


def _positions(rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
    """Ids of the image's tokens, float (rows * columns, 3): 0, row, column."""
    at = torch.zeros(rows, columns, 3, device=like.device, dtype=like.dtype)
    at[..., 1] += torch.arange(rows, device=like.device).view(-1, 1)
    at[..., 2] += torch.arange(columns, device=like.device)
    return at.view(-1, 3)
