"""Batch norms' statistics, measured on what a recipe feeds the network."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from dense_perception.models import model_entry
from dense_perception.models.complexity import input_channels
from dense_perception_training.feeding import network_input, open_batches
from dense_perception_training.recipe import Recipe

_DEAD = 1e-4  # variance of a channel that says nothing, beside the usual one of about 1


def measure_norms(model: nn.Module, recipe: Recipe, batches: int) -> None:
    """Measure a model's batch norms anew on batches of a recipe's last stage; in place."""
    update_bn(_inputs(model, recipe, -1, batches), model)
    model.eval()


def spread_norms(model: nn.Module, norms: Mapping[str, str], recipe: Recipe,
                 batches: int) -> None:
    """Give batch norms that only add a bias the statistics of what reaches them; in place.

    In evaluation the model computes what it did, and in training nearly so: without this, training
    would divide by a spread that the weights do not know. The size of a convolution before a norm
    says nothing about what is computed, but an optimiser's steps are as large for small weights as
    for large ones. So each channel is scaled to outputs of variance 1, and each convolution to the
    size that the model's other ones have for theirs.

    :param norms: batch norm -> convolution before it, as ``export.reopen`` gives them.
    :param batches: of the recipe's first stage, to measure on.
    """
    sums = {norm: torch.zeros(3, model.get_submodule(norm).num_features, dtype=torch.double)
            for norm in norms}
    hooks = [model.get_submodule(norm).register_forward_pre_hook(
        lambda _, inputs, total=total: _add(total, inputs[0])) for norm, total in sums.items()]
    model.eval()
    with torch.no_grad():
        for x in _inputs(model, recipe, 0, batches):
            model(x)
    for hook in hooks:
        hook.remove()
    usual = _usual_size(model, set(norms.values()))
    with torch.no_grad():
        for name, conv in norms.items():
            count, first, second = sums[name]
            mean = first / count
            _spread(model.get_submodule(name), model.get_submodule(conv), usual, mean,
                    (second / count - mean ** 2).clamp_min(0))


def _size(conv: nn.Conv2d) -> float:
    """Root mean square of a convolution's singular values, over the root of their number.

    Runs with Muon end at about the same size in all layers.
    """
    weight = conv.weight.flatten(1)
    return (weight.norm() / min(weight.shape)).item()


def _usual_size(model: nn.Module, merged: set[str]) -> float | None:
    """The median size of the convolutions that nothing was merged into; None without such."""
    sizes = [_size(module) for name, module in model.named_modules()
             if type(module) is nn.Conv2d and module.groups == 1 and name not in merged]
    return statistics.median(sizes) if sizes else None


def _add(total: torch.Tensor, x: torch.Tensor) -> None:
    flat = x.transpose(0, 1).flatten(1).double()
    total += torch.stack([torch.full_like(flat[:, 0], flat.shape[1]), flat.sum(1),
                          flat.square().sum(1)])


def _spread(norm: nn.BatchNorm2d, conv: nn.Conv2d, usual: float | None, mean: torch.Tensor,
            variance: torch.Tensor) -> None:
    scale = (variance + _DEAD).sqrt()
    conv.weight /= scale.view(-1, 1, 1, 1)
    if usual is not None and conv.groups == 1:
        factor = usual / _size(conv)
        conv.weight *= factor
        scale /= factor
    if conv.bias is not None:
        conv.bias /= scale
    norm.running_mean.copy_(mean / scale)
    norm.running_var.copy_(variance / scale ** 2)
    norm.weight.copy_(scale * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias += mean


def _inputs(model: nn.Module, recipe: Recipe, stage: int, batches: int) -> Iterator[torch.Tensor]:
    stage %= len(recipe.stages)
    data = open_batches(recipe, stage, recipe.stages[stage].batch, (recipe.seed, 0))
    spec, channels = model_entry(recipe.model.name).input, input_channels(model)
    for step in tqdm(range(batches), unit='batch', desc='batch norms'):
        yield network_input(data[step], spec, channels)
