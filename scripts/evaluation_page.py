"""Write docs/evaluation.md: the template's words with the figures of the shipped model.

    python scripts/evaluation_page.py                       # of the results there are
    python scripts/evaluation_page.py --held-out data/world/held_out --train data/world/train
    python scripts/evaluation_page.py --real data/real      # pictures rgb/*, depth/* in mm

Each option measures that part anew. In docs/evaluation/page.md.in, ``{held_out depth.abs_rel}``
stands for a value of docs/evaluation/held_out.json, ``{robustness axes.light.0.miou}`` for one of
robustness.json.
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
MODEL = 'xnet_small'

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


def measure_held_out(held_out: Path, train: Path | None) -> None:
    """Scores, also for the model's card, curves and the worst frames of the held-out world."""
    from dense_perception_training import robustness
    from dense_perception_training.baseline import per_pixel_baseline
    from dense_perception_training.datasets import open_dataset
    from dense_perception_training.evaluate import evaluate, write_metrics
    from dense_perception_training.report import rounded
    from dense_perception_training.validation import predict, row_of_pictures, sheet
    predictor, data = Predictor(MODEL), open_dataset('world', held_out)
    evaluation = evaluate(predictor, data)
    result = {'data': 'world held_out', **evaluation.result()}
    if train is not None:
        result['per_pixel_baseline'] = per_pixel_baseline(open_dataset('world', train), data)
    write_metrics(predictor.model.path, rounded(result))
    _keep('held_out', rounded(result))
    worst = np.argsort([row['abs_rel'] for row in evaluation.rows])[::-1][:_FAILURES]
    rows = [row_of_pictures(data[int(i)], predict(predictor, data[int(i)]), predictor.card)
            for i in worst]
    _write_picture('failures.jpg', sheet(rows))
    _write_picture('held_out.jpg', sheet(evaluation.pictures[::2]))
    axes = {**robustness.PICTURE, **robustness.MOUNT}
    found = robustness.run(predictor, data, axes, _FRAMES, 'held-out world',
                           len(robustness.DRIVES))
    _keep('robustness', found)
    robustness.draw(IMAGES / 'robustness.png', found, axes)


def measure_real(real: Path) -> None:
    """Median-scaled depth on real frames, beside what needs no image."""
    from dense_perception_training.baseline import image_free_priors
    from dense_perception_training.datasets import open_dataset
    from dense_perception_training.evaluate import evaluate
    from dense_perception_training.report import rounded
    data = open_dataset('folder', real, image='rgb/*', depth='depth/*', near=0.1, far=10.0)
    evaluation = evaluate(Predictor(MODEL), data)
    _keep('real', rounded({**evaluation.result(), 'image_free_priors': image_free_priors(data)}))


def _keep(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f'{name}.json').write_text(json.dumps(result, indent=1) + '\n')


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
    args = parser.parse_args()
    try:
        if args.held_out:
            measure_held_out(args.held_out, args.train)
        if args.real:
            measure_real(args.real)
        PAGE.write_text(page(TEMPLATE.read_text()))
    except (PageError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
