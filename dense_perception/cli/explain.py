"""``dense-perception explain``: what an xNet-I mixes into an image, a PolyMaX's probability maps.

Figure 4 of the xNet paper; Figures 8, 12 and 13 of PolyMaX's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dense_perception import viz
from dense_perception.cli import explain_clusters, sheet
from dense_perception.cli.command import CommandError
from dense_perception.cli.sheet import TILE_HEIGHT, TILE_WIDTH, Tile
from dense_perception.inference.card import ModelCard
from dense_perception.inference.prediction import Prediction

if TYPE_CHECKING:
    from dense_perception.models.xnet import XNet

_COLUMNS = ('image', 'mixed feature', 'depth', 'mask')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('weights', type=Path,
                        help='folder with weights.safetensors and card.json of an xNet-I or a '
                             'PolyMaX')
    parser.add_argument('image', type=Path, help='picture file')
    parser.add_argument('--out', type=Path, required=True, help='picture to write (.png)')


def run(args: argparse.Namespace) -> int:
    """Predict one image and show what was mixed into it, or what its pixels were taken for."""
    if args.out.suffix.lower() != '.png':
        raise CommandError(f'--out {args.out} does not end in .png')
    image = cv2.imread(str(args.image), cv2.IMREAD_COLOR)
    if image is None:
        raise CommandError(f'{args.image} is no picture that can be read')
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    model, card = _explicable(args.weights)
    title = f'{card.name}   {args.image.name}'
    if card.system == 'polymax':
        page, found = explain_clusters.page(model, card, image, title)
    else:
        page, found = _mixing(model, card, image, title)
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(args.out, page)
    except OSError as error:
        raise CommandError(f'cannot write {args.out}: {error.strerror}') from None
    print(f'{args.out}: {found}')
    return 0


def _mixing(model: XNet, card: ModelCard, image: np.ndarray, title: str) -> tuple[np.ndarray, str]:
    """The page of an xNet-I, and a line about it."""
    seen, mixed, prediction = explain(model, card, image)
    tiles = [(_tile(seen), f'{seen.shape[1]}x{seen.shape[0]}, as the network sees it'),
             (_tile(viz.strongest_channel(mixed)), _shares(mixed)),
             _depth(prediction), _mask(prediction, card, seen)]
    page = sheet.paint(title, _COLUMNS, [tiles], lambda strip: None)
    return page, f'strongest channel of the mixed feature: {_shares(mixed)}'


def explain(model: XNet, card: ModelCard,
            image: np.ndarray) -> tuple[np.ndarray, np.ndarray, Prediction]:
    """What an xNet-I sees, mixes into it and predicts.

    :param image: uint8 (height, width, 3) RGB.
    :returns: uint8 (H, W, 3) RGB; the re-shaped map that is mixed with red, green and blue,
        float32 (3, H, W); the prediction, without a known mount.
    """
    from dense_perception.export.reference import TorchPredictor
    maps: list[Any] = []
    hook = model.reshape.register_forward_hook(lambda _, __, output: maps.append(output))
    predictor = TorchPredictor(model, card)
    prediction = predictor.predict(image)
    hook.remove()
    return prediction.image, maps[0][0, :3].float().cpu().numpy(), prediction


def _explicable(folder: Path) -> tuple[Any, ModelCard]:
    from dense_perception.export.weights import WeightsError, load_weights
    from dense_perception.models.polymax import PolyMaX
    from dense_perception.models.xnet import XNet
    if folder.is_file():
        raise CommandError(f'{folder} is a file; a model file keeps final outputs only, so give '
                           'the folder with the weights it was made from')
    try:
        model, card = load_weights(folder)
    except WeightsError as error:
        raise CommandError(str(error)) from None
    if isinstance(model, PolyMaX):
        return model, card
    if not isinstance(model, XNet) or model.config.mix_with != 'image':
        raise CommandError(f'{folder} holds "{card.variant}", which mixes nothing into the image '
                           'itself and has no clusters; an xNet-I does, such as '
                           'xnet_ladder_xnet_i_22k or any xNet with mix_with="image", and a '
                           'PolyMaX has')
    return model, card


def _tile(image: np.ndarray, crisp: bool = False) -> np.ndarray:
    return viz.fit(image, TILE_WIDTH, TILE_HEIGHT, crisp)


def _shares(mixed: np.ndarray) -> str:
    """How much of the image each channel is strongest in."""
    shares = np.bincount(mixed.argmax(axis=0).ravel(), minlength=3) / mixed[0].size
    return ', '.join(f'{name} {share:.0%}' for name, share in zip(('red', 'green', 'blue'),
                                                                  shares))


def _depth(prediction: Prediction) -> Tile:
    depth = prediction.depth
    if depth is None:
        return sheet.empty(), 'no depth from this model'
    near, far = viz.depth_limits([depth])
    unit = ' m' if prediction.metric else ', relative'
    return (_tile(viz.colour_depth(depth, near, far)),
            f'red {near:.3g} to blue {far:.3g}{unit}, logarithmic')


def _mask(prediction: Prediction, card: ModelCard, seen: np.ndarray) -> Tile:
    labels = prediction.labels
    if labels is None:
        return sheet.empty(), 'no mask from this model'
    present = np.bincount(labels.ravel(), minlength=256) / labels.size
    largest = sorted(card.classes, key=lambda c: -present[c.id])[:3]
    caption = ', '.join(f'{c.name} {present[c.id]:.0%}' for c in largest if present[c.id])
    return _tile(viz.blend(seen, viz.palette(card.classes)[labels]), crisp=True), caption
