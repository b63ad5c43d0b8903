"""Write docs/evaluation.md: the template's words with the figures of the shipped models.

    python scripts/evaluation_page.py                       # of the results there are
    python scripts/evaluation_page.py --held-out data/world/held_out --train data/world/train
    python scripts/evaluation_page.py --real data/real      # pictures rgb/*, depth/* in mm

Each option measures that part anew, of the models named (``--models``) or of all. In
docs/evaluation/page.md.in, ``{held_out xnet_base.depth.abs_rel}`` stands for a value of
docs/evaluation/held_out.json, ``{robustness xnet_small.axes.light.0.miou}`` for one of
robustness.json. Pictures are of the first model.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks_page import PageError, value

from dense_perception.inference.predictor import Predictor

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'docs' / 'evaluation'
TEMPLATE = RESULTS / 'page.md.in'
PAGE = ROOT / 'docs' / 'evaluation.md'
IMAGES = ROOT / 'docs' / 'images'
MODELS = ('xnet_small', 'xnet_base')

_VALUE = re.compile(r'\{(\w+) ([^{}]+)\}')
_NOTE = ('<!-- Made by scripts/evaluation_page.py of docs/evaluation/: change the template '
         'there, not this. -->\n')
_FAILURES = 6
_FRAMES = 100  # of the held-out ones, for each level of each axis


def page(template: str, results: Path = RESULTS) -> str:
    """The whole page.

    :raises PageError: a result is missing, or has no such value.
    """
    kept: dict[str, Any] = {}

    def shown(match: re.Match) -> str:
        name, path = match.groups()
        if name not in kept:
            file = results / f'{name}.json'
            if not file.exists():
                raise PageError(f'{file} is missing: measure it first, see --help')
            kept[name] = json.loads(file.read_text())
        return _shown(value(kept[name], path))

    return _NOTE + _VALUE.sub(shown, template)


def _shown(found: Any) -> str:
    if isinstance(found, dict):
        return ', '.join(f'{name} {_shown(item)}' for name, item in found.items())
    return f'{found:.3f}' if isinstance(found, float) else str(found)


def measure_held_out(model: str, held_out: Path, train: Path | None) -> None:
    """Scores, also for the model's card, curves and the worst frames of the held-out world."""
    from dense_perception_training import robustness
    from dense_perception_training.baseline import per_pixel_baseline
    from dense_perception_training.datasets import open_dataset
    from dense_perception_training.evaluate import evaluate, write_metrics
    from dense_perception_training.report import rounded
    from dense_perception_training.validation import predict, row_of_pictures, sheet
    predictor, data = Predictor(model), open_dataset('world', held_out)
    evaluation = evaluate(predictor, data)
    result = {'data': 'world held_out', **evaluation.result()}
    if train is not None:
        result['per_pixel_baseline'] = per_pixel_baseline(open_dataset('world', train), data)
    write_metrics(predictor.model.path, rounded(result))
    _keep('held_out', model, rounded(result))
    axes = {**robustness.PICTURE, **robustness.MOUNT}
    found = robustness.run(predictor, data, axes, _FRAMES, 'held-out world',
                           len(robustness.DRIVES))
    _keep('robustness', model, found)
    if model != MODELS[0]:
        return
    worst = np.argsort([row['abs_rel'] for row in evaluation.rows])[::-1][:_FAILURES]
    rows = [row_of_pictures(data[int(i)], predict(predictor, data[int(i)]), predictor.card)
            for i in worst]
    _write_picture('failures.jpg', sheet(rows))
    _write_picture('held_out.jpg', sheet(evaluation.pictures[::2]))
    robustness.draw(IMAGES / 'robustness.png', found, axes)


def measure_real(model: str, real: Path) -> None:
    """Median-scaled depth on real frames, beside what needs no image."""
    from dense_perception_training.baseline import image_free_priors
    from dense_perception_training.datasets import open_dataset
    from dense_perception_training.evaluate import evaluate
    from dense_perception_training.report import rounded
    data = open_dataset('folder', real, image='rgb/*', depth='depth/*', near=0.1, far=10.0)
    evaluation = evaluate(Predictor(model), data)
    _keep('real', model,
          rounded({**evaluation.result(), 'image_free_priors': image_free_priors(data)}))


def _keep(name: str, model: str, result: dict[str, Any]) -> None:
    file = RESULTS / f'{name}.json'
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**kept, model: result}, indent=1) + '\n')


def _write_picture(name: str, picture: np.ndarray) -> None:
    small = cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(IMAGES / name), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def main() -> int:
    """Measure what is asked for, write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.
                                     RawDescriptionHelpFormatter)
    parser.add_argument('--held-out', type=Path, help='frames of the held-out world')
    parser.add_argument('--train', type=Path, help='frames of the world to train on, for the '
                                                   'per-pixel baseline')
    parser.add_argument('--real', type=Path, help='folder with rgb/* and depth/* of real cameras')
    parser.add_argument('--models', nargs='+', choices=MODELS, default=MODELS)
    args = parser.parse_args()
    try:
        for model in args.models:
            if args.held_out:
                measure_held_out(model, args.held_out, args.train)
            if args.real:
                measure_real(model, args.real)
        PAGE.write_text(page(TEMPLATE.read_text()))
    except (PageError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
