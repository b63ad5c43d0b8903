r"""The ablation ladder of the xNet paper (Table I) in miniature, on the procedural world.

Does it help to pre-train the decoder, and which step of the ladder brings how much? The paper
pre-trains on ImageNet; here two small ConvNeXt classifiers (one for each half of the network)
learn to name the class at the centre of a crop, and then every row of the ladder is trained for
depth and segmentation together, with three seeds.

    dense-perception-world --out data/world/train --split train --scenes 1500 --views 6
    dense-perception-world --out data/world/held_out --split held_out --scenes 100 --views 5
    python scripts/ladder_in_miniature.py --train data/world/train \
        --held-out data/world/held_out --out out/ladder

Killed at any moment, the same command goes on. Needs the training package.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from dense_perception_training.datasets import open_dataset
from dense_perception_training.datasets.world import World
from dense_perception_training.evaluate import evaluate, open_model
from dense_perception_training.recipe import ModelChoice, Optimiser, Recipe, Source, Stage
from dense_perception_training.report import over_seeds
from dense_perception_training.train import train
from safetensors.torch import save_file
from tqdm import tqdm

from dense_perception.models.inputs import normalised
from dense_perception.world.classes import CLASSES

# Of encoder and decoder alike.
NET: dict[str, Any] = {'dims': (24, 48, 96, 192), 'depths': (1, 1, 3, 1)}
CROP = 64
COLUMNS = {'abs_rel': 'AbsRel (median-scaled)', 'd1': 'd1', 'miou': 'mIoU'}
ROWS = ('fpn', 'rev', '22k', 'pfp', 'nofp', 'xnet_i_0', 'xnet_i_22k', 'xnet_22k_add', 'xnet_22k')
SEEDS = (0, 1, 2)
LABELS = {'22k': '+pre-trained', 'rev': '+Rev', 'pfp': '+PFP', 'nofp': '-FP', 'fpn': 'FPN',
          'xnet_i_0': 'xNet-I, decoder random', 'xnet_i_22k': 'xNet-I, pre-trained',
          'xnet_22k_add': 'xNet, pre-trained (add)', 'xnet_22k': 'xNet, pre-trained'}


class Crops:
    """Square crops of frames, named by the class of their middle; every class as often."""

    def __init__(self, folder: Path) -> None:
        self._world = World(folder)

    def batch(self, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 (count, CROP, CROP, 3) images and int64 (count,) classes."""
        images: list[np.ndarray] = []
        labels: list[int] = []
        while len(images) < count:
            sample = self._world[int(rng.integers(len(self._world)))]
            assert sample.labels is not None
            wanted = int(rng.choice(np.unique(sample.labels[sample.labels < len(CLASSES)])))
            rows, columns = np.nonzero(sample.labels == wanted)
            at = int(rng.integers(len(rows)))
            half = int(rng.integers(CROP // 4, CROP))
            padded = cv2.copyMakeBorder(sample.image, *(half,) * 4, cv2.BORDER_REFLECT)
            window = padded[rows[at]:rows[at] + 2 * half, columns[at]:columns[at] + 2 * half]
            window = cv2.resize(window, (CROP, CROP), interpolation=cv2.INTER_AREA)
            images.append(window[:, ::-1] if rng.random() < 0.5 else window)
            labels.append(wanted)
        return torch.from_numpy(np.stack(images)), torch.tensor(labels)


def pretrain(args: argparse.Namespace, half: str) -> Path:
    """A classifier's weights as timm writes them; its accuracy beside them."""
    path = args.out / f'classifier_{half}.safetensors'
    if path.exists():
        return path
    import timm  # not before dense_perception.models, which mends torchvision for CPU-only torch
    seed = ('encoder', 'decoder').index(half)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = timm.create_model('convnext_atto', num_classes=len(CLASSES), **NET)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, args.crop_steps)
    crops = Crops(args.train)
    for _ in tqdm(range(args.crop_steps), desc=f'classifier for the {half}', unit='step'):
        images, labels = crops.batch(48, rng)
        loss = F.cross_entropy(net(normalised(images)), labels, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
    held_out, test = Crops(args.held_out), np.random.default_rng(7)
    with torch.no_grad():
        hits = [(net(normalised(images)).argmax(1) == labels).float().mean().item()
                for images, labels in (held_out.batch(100, test) for _ in range(10))]
    path.with_suffix('.json').write_text(json.dumps({'accuracy': float(np.mean(hits))}))
    partial = path.with_suffix('.partial')
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, partial)
    partial.replace(path)
    return path


def recipe_of(row: str, seed: int, args: argparse.Namespace, halves: list[Path]) -> Recipe:
    """The same training for every row."""
    options: dict[str, Any] = {
        'encoder': 'convnext_atto', 'decoder': 'convnext_atto', 'num_classes': len(CLASSES),
        'depth': 'exp', 'pretrained': True, 'width': 24,
        **{f'{name}_options': {**NET, 'pretrained_cfg_overlay': {
            'file': str(path.resolve()), 'num_classes': len(CLASSES)}}
           for name, path in zip(('encoder', 'decoder'), halves, strict=True)}}
    return Recipe(
        model=ModelChoice(f'xnet_ladder_{row}', options),
        sources=[Source('world', str(args.train))],
        transforms=[{'transform': 'zoom_crop'}, {'transform': 'flip'}, {'transform': 'exposure'}],
        stages=[Stage(64, 96, 16, args.steps, 1e-3, 1e-5)],
        losses=[{'loss': 'silog', 'scale': 1.0}, {'loss': 'gradient_matching', 'weight': 0.1},
                {'loss': 'cross_entropy', 'weight': 0.5}],
        optimiser=Optimiser(weight_decay=0.05, clip_norm=1.0), warmup_steps=50, ema_decay=0.99,
        seed=seed, save_every=100)


def measure(row: str, seed: int, args: argparse.Namespace, halves: list[Path]) -> dict[str, float]:
    """Train one row with one seed, if that has not been done, and measure it."""
    run = args.out / f'{row}_{seed}'
    result = run / 'result.json'
    if not result.exists():
        train(recipe_of(row, seed, args, halves), run, 'cpu')
        found = evaluate(open_model(str(run)), open_dataset('world', args.held_out),
                         args.frames).result()
        result.write_text(json.dumps({
            'abs_rel': found['depth_median_scaled']['abs_rel'],
            'd1': found['depth_median_scaled']['d1'], 'miou': found['segmentation']['miou']}))
    return json.loads(result.read_text())


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--train', type=Path, required=True, help='frames to train on')
    parser.add_argument('--held-out', type=Path, required=True, help='frames to measure on')
    parser.add_argument('--out', type=Path, required=True, help='folder of runs and results')
    parser.add_argument('--steps', type=int, default=250, help='training steps of a row')
    parser.add_argument('--crop-steps', type=int, default=600, help='steps of a classifier')
    parser.add_argument('--frames', type=int, default=100, help='held-out frames to measure on')
    parser.add_argument('--seeds', type=int, nargs='+', default=SEEDS, help='seeds to run')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    halves = [pretrain(args, half) for half in ('encoder', 'decoder')]
    results: dict[str, list[dict[str, float]]] = {row: [] for row in ROWS}
    for seed in args.seeds:
        for row in ROWS:
            results[row].append(measure(row, seed, args, halves))
        print(over_seeds({LABELS[row]: runs for row, runs in results.items()}, COLUMNS))
    for half, path in zip(('encoder', 'decoder'), halves, strict=True):
        accuracy = json.loads(path.with_suffix('.json').read_text())['accuracy']
        print(f'classifier of the {half}: {accuracy:.3f} of held-out crops right')


if __name__ == '__main__':
    main()
