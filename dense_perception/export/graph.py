"""The graph of a model file: uint8 image in, final quantities out."""

from __future__ import annotations

import torch
from torch import nn

from dense_perception.inference.card import ModelCard
from dense_perception.models.inputs import normalised, with_mount

SKY = 'sky'


class DeployGraph(nn.Module):
    """Wraps a model so that everything but the image resize happens inside the graph.

    ``forward(image, intrinsics, gravity, camera_height)``: uint8 (B, H, W, 3) RGB, float (B, 4),
    (B, 3), (B,) as ``inference.card`` defines them (the last three only for a card with mount) ->
    ``depth`` float (B, H, W), ``labels`` uint8 (B, H, W), ``confidence`` uint8 (B, H, W),
    ``normals`` float (B, H, W, 3), ``alpha`` float (B, H, W), those that the card lists. The
    model gives ``depth``, ``logits``, ``normals`` float (B, 3, H, W), of any length, and
    ``alpha``, which may leave 0..1.

    A folded xNet gives depth and logits before its last PixelShuffle. What is done here to each
    pixel by itself comes before it, too: two planes of classes are moved, not one for each class.

    :param model: changed by that; the graph has it from now on.
    """

    def __init__(self, model: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.model = model
        self.card = card
        self.sky = next((c.id for c in card.classes if c.name == SKY), None)
        self._subpixels = (model.leave_subpixels_apart()
                           if hasattr(model, 'leave_subpixels_apart') else 1)

    def forward(self, image: torch.Tensor, intrinsics: torch.Tensor | None = None,
                gravity: torch.Tensor | None = None,
                camera_height: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """See the class."""
        x = normalised(image, self.card.mean, self.card.std, self.card.brightness)
        known = None
        if self.card.takes_mount:
            known = (camera_height > 0).float()
            x = with_mount(x, intrinsics, gravity, known)
        outputs = self.model(x)
        result = {}
        labels = None
        if 'labels' in self.card.outputs:
            labels, probability = _classify(outputs['logits'])
            result['labels'] = self._whole(labels).to(torch.uint8)
            result['confidence'] = self._whole(255 * probability + 0.5).to(torch.uint8)
        if 'depth' in self.card.outputs:
            result['depth'] = self._whole(
                self._depth(outputs['depth'], labels, known, camera_height))
        if 'normals' in self.card.outputs:
            result['normals'] = self._normals(outputs['normals'], labels)
        if 'alpha' in self.card.outputs:
            result['alpha'] = outputs['alpha'].clamp(0, 1)
        return {name: result[name] for name in self.card.outputs}

    def _depth(self, depth: torch.Tensor, labels: torch.Tensor | None,
               known: torch.Tensor | None, camera_height: torch.Tensor | None) -> torch.Tensor:
        """Depth, with NaN for what is unknown: the sky, and what is outside the card's range."""
        unknown = None
        if known is not None:
            each = (-1, *[1] * (depth.dim() - 1))
            scale = torch.where(known > 0, camera_height, 1.0).view(each)
            depth = torch.exp(depth) * scale
        if labels is not None and self.sky is not None:
            unknown = labels == self.sky
        if self.card.depth_range is not None:
            near, far = self.card.depth_range
            outside = (depth < near) | (depth > far)
            if known is not None:
                outside = outside & (known.view(each) > 0)
            unknown = outside if unknown is None else unknown | outside
        return depth if unknown is None else depth.masked_fill(unknown, float('nan'))

    def _whole(self, values: torch.Tensor) -> torch.Tensor:
        """(B, H, W), of (B, r^2, H / r, W / r) where the sub-pixels still lie apart."""
        if self._subpixels == 1:
            return values
        return nn.functional.pixel_shuffle(values.float(), self._subpixels)[:, 0]

    def _normals(self, normals: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        """Unit normals, channels last, with NaN for the sky."""
        normals = nn.functional.normalize(normals, dim=1).permute(0, 2, 3, 1)
        if labels is None or self.sky is None:
            return normals
        return normals.masked_fill((labels == self.sky).unsqueeze(-1), float('nan'))


def _classify(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Class ids and probabilities of them, (B, ...), of float logits (B, C, ...).

    On a CPU, ONNX Runtime looks the highest logit up faster than it finds it a second time.
    """
    labels = logits.argmax(dim=1, keepdim=True)
    return labels[:, 0], 1 / torch.exp(logits - logits.gather(1, labels)).sum(dim=1)
