"""Random weights with outputs that vary over the image, so that agreement means something."""

from __future__ import annotations

import torch
from torch import nn


def enliven(model: nn.Module, height: int, width: int, seed: int = 0) -> nn.Module:
    """Give a model weights that let the signal through, in place.

    Fresh networks hardly compute: layer scales of 1e-5 switch their blocks off, and heads start
    flat. Here matrices and kernels keep the variance, layer scales are 0.5, and batch
    normalisation has the statistics of noise images.
    """
    generator = torch.Generator().manual_seed(seed)
    gains = {f'{name}.weight' for name, module in model.named_modules()
             if isinstance(module, nn.BatchNorm2d)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                fan_in = max(parameter[0].numel(), 1)
                parameter.normal_(0, fan_in ** -0.5, generator=generator)
            elif 'gamma' in name:
                parameter.fill_(0.5)
            elif name in gains and parameter.numel() == 1:
                parameter.fill_(1.0)  # of logits: a softmax that makes up its mind
            elif name in gains and not parameter.any():
                parameter.fill_(0.5)  # it switches its branch off at first
            elif name.endswith('bias'):
                parameter.normal_(0, 0.1, generator=generator)
        head = getattr(model, 'depth_head', None)
        if getattr(head, 'kind', '') == 'metric_inverse':
            for parameter in head.conv3.parameters():
                parameter.mul_(head.shift / head.scale)  # inverse depths as large as the shift
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        if norms:
            for norm in norms:
                norm.momentum = None  # the running statistics become those of what follows
            model.train()
            channels = getattr(model, 'in_chans', 3)
            for _ in range(2):
                model(torch.randn(2, channels, height, width, generator=generator))
    return model.eval()


def as_trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Make every parameter and statistic of an xNet unlike the others', in place.

    So is every trained one; of equal tensors an export keeps one. Only norms that read the same
    map have the same statistics.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
        for stage, level in zip((1, 2, 3), model.pfp.levels, strict=False):
            first, second = model.decoder.stages[stage].downsample[0], level.norm
            if isinstance(first, nn.BatchNorm2d):
                second.running_mean.copy_(first.running_mean)
                second.running_var.copy_(first.running_var)
    return model.eval()
