r"""D3-Predictor in miniature, on the procedural world, with and without its alignment.

Stable Diffusion is replaced by a tiny latent diffusion model of the same layout, trained for a
few minutes on the world's images: an autoencoder, then a U-Net that removes noise. From it a
depth predictor learns twice with each seed, by the task losses alone and by alignment and task
losses together, as in training/configs/mix3_d3_depth.yaml. Then the few-shot domain task: the
ground, from 15 frames and their masks by MSE, as in training/configs/few_shot_d3.yaml.

    dense-perception-world --out data/world/train --split train --scenes 1500 --views 6
    dense-perception-world --out data/world/held_out --split held_out --scenes 100 --views 5
    python scripts/d3_in_miniature.py --train data/world/train \
        --held-out data/world/held_out --out out/d3

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
from torch import nn
from tqdm import tqdm

from dense_perception.export.cards import card_for, sized
from dense_perception.export.reference import TorchPredictor
from dense_perception.export.weights import WEIGHTS, load_weights, save_weights
from dense_perception.models import create_model
from dense_perception.models.inputs import HALF_MEAN, HALF_STD, normalised
from dense_perception.world.classes import GROUND

SIDE, BATCH, SHOTS = 64, 8, 15
# An image is four times as large as its latent: a face of 8x8 would hold no detail.
VAE: dict[str, Any] = {
    'down_block_types': ('DownEncoderBlock2D',) * 3, 'up_block_types': ('UpDecoderBlock2D',) * 3,
    'block_out_channels': (8, 16, 32), 'layers_per_block': 1, 'norm_num_groups': 4}
TASK = [{'loss': 'depth_regression', 'weight': 32.0, 'kind': 'l2', 'space': 'unit'},
        {'loss': 'affine_invariant_l1', 'weight': 2.0, 'alignment': 'least_squares',
         'space': 'depth', 'trim': 0.0},
        {'loss': 'log_gradient', 'weight': 100.0}]
ROWS: dict[str, list[dict[str, Any]]] = {
    'task': TASK, 'alignment + task': [{'loss': 'expert_alignment'}, *TASK]}


def images(world: World, rng: np.random.Generator) -> torch.Tensor:
    """A batch as the network sees it: float (BATCH, 3, SIDE, SIDE), -1..1."""
    frames = [world[int(i)].image for i in rng.integers(len(world), size=BATCH)]
    small = [cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in frames]
    return normalised(torch.from_numpy(np.stack(small)), HALF_MEAN, HALF_STD)


def optimised(loss: Any, parameters: Any, steps: int, rate: float, what: str) -> float:
    """Minimise ``loss()``; the mean of its last tenth."""
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    last = []
    for step in tqdm(range(steps), desc=what, unit='step'):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step >= 0.9 * steps:
            last.append(value.item())
    return float(np.mean(last))


def diffusion(args: argparse.Namespace) -> Path:
    """The tiny diffusion model, as the folder that a recipe starts from."""
    folder = args.out / 'diffusion'
    if (folder / WEIGHTS).exists():
        return folder
    torch.manual_seed(0)
    rng, world = np.random.default_rng(0), World(args.train)
    model: Any = create_model('d3_tiny_depth', vae=VAE)
    model.vae.requires_grad_(True)

    def reconstruction() -> torch.Tensor:
        x = images(world, rng)
        latent = model.vae.encode(x).latent_dist
        return F.l1_loss(model.vae.decode(latent.sample()).sample, x) + 1e-5 * latent.kl().mean()

    l1 = optimised(reconstruction, model.vae.parameters(), args.vae_steps, 2e-3, 'autoencoder')
    with torch.no_grad():
        spread = torch.cat([model.vae.encode(images(world, rng)).latent_dist.mode()
                            for _ in range(4)]).std().item()
    options = {'vae': {**VAE, 'scaling_factor': 1 / spread}}
    whole: Any = create_model('d3_tiny_depth', **options)
    whole.vae.load_state_dict(model.vae.state_dict())

    def denoising() -> torch.Tensor:
        with torch.no_grad():
            latent = whole.encode(images(world, rng))
        noise, time = torch.randn_like(latent), torch.randint(1000, (BATCH,))
        noisy = whole.denoiser.noised(latent, noise, time)
        # Stable Diffusion 2.1's target: the noise and the latent, rotated into each other.
        kept = whole.denoiser.noised(torch.ones_like(latent), torch.zeros_like(latent), time)
        velocity = kept * noise - (1 - kept ** 2).sqrt() * latent
        return F.mse_loss(whole.denoiser.denoise(noisy, time, whole.context), velocity)

    mse = optimised(denoising, whole.denoiser.parameters(), args.denoising_steps, 1e-3, 'U-Net')
    args.out.joinpath('diffusion.json').write_text(json.dumps(
        {'autoencoder_l1': l1, 'denoising_mse': mse, 'options': options}))
    save_weights(whole, sized(card_for('d3_tiny_depth', options), (SIDE, SIDE)), folder)
    return folder


def recipe_of(losses: list[dict[str, Any]], seed: int, args: argparse.Namespace,
              start: Path) -> Recipe:
    """The same training for both rows."""
    options = json.loads((args.out / 'diffusion.json').read_text())['options']
    return Recipe(
        model=ModelChoice('d3_tiny_depth', options, str(start)),
        sources=[Source('world', str(args.train))], transforms=[{'transform': 'flip'}],
        stages=[Stage(SIDE, SIDE, BATCH, args.steps, 3e-4, 3e-5)], losses=losses,
        optimiser=Optimiser(kind='adam', clip_norm=1.0), warmup_steps=20, seed=seed,
        save_every=100)


def measure(row: str, seed: int, args: argparse.Namespace, start: Path) -> dict[str, float]:
    """Train one row with one seed, if that has not been done, and measure it."""
    run = args.out / f'{row.replace(" + ", "_")}_{seed}'
    result = run / 'result.json'
    if not result.exists():
        train(recipe_of(ROWS[row], seed, args, start), run, 'cpu')
        found = evaluate(open_model(str(run)), open_dataset('world', args.held_out),
                         args.frames).result()['depth']
        result.write_text(json.dumps({name: found[name] for name in ('abs_rel', 'd1')}))
    return json.loads(result.read_text())


def shots(args: argparse.Namespace) -> Path:
    """A folder of 15 pictures and their masks, as few_shot_d3.yaml expects it."""
    folder, world = args.out / 'few_shot', World(args.train)
    for number, index in enumerate(np.linspace(0, len(world) - 1, SHOTS, dtype=int)):
        sample = world[int(index)]
        assert sample.labels is not None
        for kind, picture in (('rgb', sample.image[..., ::-1]),
                              ('mask', 255 * (sample.labels == GROUND).astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f'{number:02d}.png'), np.ascontiguousarray(picture))
    return folder


def few_shot(args: argparse.Namespace, start: Path, name: str) -> dict[str, float]:
    """Learn the ground from 15 frames, and how it overlaps on held-out ones."""
    run = args.out / f'few_shot_{name}'
    result = run / 'result.json'
    if not result.exists():
        options = json.loads((args.out / 'diffusion.json').read_text())['options']
        recipe = Recipe(
            model=ModelChoice('d3_tiny_matting', options, str(start)),
            sources=[Source('folder', str(shots(args)), options={'alpha': 'mask/*'})],
            transforms=[{'transform': 'flip'}],
            stages=[Stage(SIDE, SIDE, BATCH, args.few_shot_steps, 3e-4, 0.0)],
            losses=[{'loss': 'alpha_regression', 'kind': 'l2'}],
            optimiser=Optimiser(weight_decay=0.01, clip_norm=1.0), warmup_steps=20,
            save_every=100)
        train(recipe, run, 'cpu')
        result.write_text(json.dumps(overlap(run, args)))
    return json.loads(result.read_text())


def overlap(run: Path, args: argparse.Namespace) -> dict[str, float]:
    """IoU, pixel accuracy and Dice of the ground on held-out frames, and of "all is ground"."""
    predictor, world = TorchPredictor(*load_weights(run)), World(args.held_out)
    hits, found, true, right, total = 0, 0, 0, 0, 0
    for index in np.linspace(0, len(world) - 1, args.frames, dtype=int):
        sample = world[int(index)]
        assert sample.labels is not None
        alpha = predictor.predict(sample.image).alpha
        assert alpha is not None
        ours = cv2.resize(alpha, sample.labels.shape[::-1]) > 0.5
        truth = sample.labels == GROUND
        hits, found, true = hits + (ours & truth).sum(), found + ours.sum(), true + truth.sum()
        right, total = right + (ours == truth).sum(), total + truth.size
    return {'iou': hits / (found + true - hits), 'pixel_accuracy': right / total,
            'dice': 2 * hits / (found + true), 'iou_of_everything': true / total}


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--train', type=Path, required=True, help='frames to train on')
    parser.add_argument('--held-out', type=Path, required=True, help='frames to measure on')
    parser.add_argument('--out', type=Path, required=True, help='folder of runs and results')
    parser.add_argument('--vae-steps', type=int, default=600)
    parser.add_argument('--denoising-steps', type=int, default=800)
    parser.add_argument('--steps', type=int, default=250, help='training steps of a row')
    parser.add_argument('--few-shot-steps', type=int, default=200)
    parser.add_argument('--frames', type=int, default=100, help='held-out frames to measure on')
    parser.add_argument('--seeds', type=int, nargs='+', default=(0, 1, 2), help='seeds to run')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    start = diffusion(args)
    results: dict[str, list[dict[str, float]]] = {row: [] for row in ROWS}
    for seed in args.seeds:
        for row, found in results.items():
            found.append(measure(row, seed, args, start))
        print(over_seeds(results, {'abs_rel': 'AbsRel (affine)', 'd1': 'd1'}, digits=4),
              flush=True)
    print('few-shot, from depth:', few_shot(args, args.out / 'alignment_task_0', 'from_depth'))
    print('few-shot, from diffusion:', few_shot(args, start, 'from_diffusion'))


if __name__ == '__main__':
    main()
