"""``dense-perception-adapt``: fit a model's batch norms to a camera's own images, without truth.

A network that has seen one world only expects its features where that world puts them. In the
images of another camera they lie elsewhere, and batch norms are what brings them back: Li et al.,
"Revisiting Batch Normalization for Practical Domain Adaptation" (2016); mixed with the statistics
from training as in Schneider et al., NeurIPS 2020. No weight is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from dense_perception.export.onnx_export import export_model
from dense_perception.export.parity import ExportError
from dense_perception.export.reopen import open_weights
from dense_perception.inference.card import ModelCard
from dense_perception.models import model_entry
from dense_perception.models.complexity import input_channels
from dense_perception_training.batches import Batches
from dense_perception_training.datasets import (
    DenseDataset,
    list_datasets,
    open_dataset,
    parse_option,
)
from dense_perception_training.datasets.mixture import Mixture, Part
from dense_perception_training.feeding import network_input
from dense_perception_training.transforms import Chain, Resize

_VIEWS = ({'transform': 'zoom_crop', 'smallest': 0.6}, {'transform': 'flip', 'share': 0.5})
_BATCH = 8


def adapt(model: nn.Module, card: ModelCard, images: DenseDataset, share: float = 0.5,
          batches: int = 8, seed: int = 0) -> None:
    """Move the statistics of a model's batch norms towards those of some images; in place.

    :param images: what they know of truth is not looked at, what they know of the mount is told.
    :param share: of the images' statistics; 1 forgets those from training.
    :param batches: of eight views each, random windows of the images.
    :raises ValueError: the network has no batch norms, or ``share`` is not within 0 to 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f'the share of the images has to be above 0 and at most 1, not {share:g}')
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        raise ValueError(f'{card.name} has no batch norms, and nothing else is adapted')
    before = [(n.running_mean.clone(), n.running_var.clone()) for n in norms]
    update_bn(_inputs(model, card, images, batches, seed), model)
    model.eval()
    for norm, (mean, variance) in zip(norms, before, strict=True):
        norm.running_mean.lerp_(mean, 1 - share)
        norm.running_var.lerp_(variance, 1 - share)


def _inputs(model: nn.Module, card: ModelCard, images: DenseDataset, batches: int,
            seed: int) -> Iterator[torch.Tensor]:
    views = Chain.from_config(list(_VIEWS))
    size = Resize(card.input_height, card.input_width)
    data = Batches(Mixture([Part(images, 1.0, Chain((*views.transforms, size)))]), _BATCH, (seed,))
    spec, channels = model_entry(card.variant).input, input_channels(model)
    for step in range(batches):
        yield network_input(data[step], spec, channels)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``dense-perception-adapt``."""
    parser = argparse.ArgumentParser(prog='dense-perception-adapt', description=__doc__)
    parser.add_argument('model', help='model file, name of a shipped model, or a training run')
    parser.add_argument('--data', type=Path, required=True, help='folder of the dataset')
    parser.add_argument('--dataset', default='folder', choices=list_datasets(), metavar='NAME',
                        help=f'one of {", ".join(list_datasets())} (default: folder)')
    parser.add_argument('--split', help="one of the dataset's splits")
    parser.add_argument('--option', action='append', default=[], metavar='KEY=VALUE',
                        help='an option of the dataset; may be repeated')
    parser.add_argument('--share', type=float, default=0.5,
                        help="of the images' statistics, the rest are the model's (default: 0.5)")
    parser.add_argument('--batches', type=int, default=8, metavar='N',
                        help=f'look at so many batches of {_BATCH} views (default: 8)')
    parser.add_argument('--out', type=Path, required=True, help='model file to write')
    args = parser.parse_args(arguments)
    try:
        model, card = open_weights(args.model)
        images = open_dataset(args.dataset, args.data, args.split,
                              **dict(parse_option(o) for o in args.option))
        adapt(model, card, images, args.share, args.batches)
        # Measured was the model before.
        card = replace(card, metrics={}, training_data=f'{card.training_data}; batch norms '
                       f'adapted to {len(images)} images of {args.data.name}')
        export_model(model, card, args.out, half_weights=True, any_batch=True)
    except (ExportError, OSError, ValueError) as error:
        raise SystemExit(f'dense-perception-adapt: {error}') from None
    print(f'{args.out}: batch norms moved by {args.share:g} towards {len(images)} images')


if __name__ == '__main__':
    main()
