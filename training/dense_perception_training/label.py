"""``dense-perception-label``: let a teacher label a large collection of images.

What it writes can be read as dataset ``folder``: ``depth/`` (metric: 16-bit PNG in millimetres;
relative: float32 .npy) and ``labels/`` with ``confidence/`` (8-bit PNG), each named like its
image. It may be killed at any moment: images that have all their outputs are not done again. Work
is shared by processes of this machine, by the workers of a Ray cluster (``--engine ray``), or by
machines that know nothing of each other (``--shard 2/8``).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from dense_perception.inference.backends import BackendError
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')
MANIFEST = 'labels.json'
_FARTHEST_MM = 65535


class LabelError(ValueError):
    """A collection that cannot be labelled; the message says why."""


@dataclass(frozen=True)
class Job:
    """One image and where its outputs go: ``name`` below ``out`` without its ending."""

    image: Path
    out: Path
    name: str

    def outputs(self, card: ModelCard) -> dict[str, Path]:
        """Files that this image gets from a teacher with this card, by output."""
        depth = 'png' if card.depth_convention == 'metric' else 'npy'
        endings = {'depth': depth, 'labels': 'png', 'confidence': 'png'}
        return {name: self.out / name / f'{self.name}.{ending}'
                for name, ending in endings.items() if name in card.outputs}


def jobs_of(images: Path, out: Path, shard: tuple[int, int] = (0, 1)) -> list[Job]:
    """Images below a folder, in order; of ``shard`` (i, n) every n-th from the i-th.

    :raises LabelError: there are none, or two images differ in nothing but their ending.
    """
    files = sorted(p for p in images.rglob('*') if p.suffix.lower() in IMAGES)
    if not files:
        raise LabelError(f'{images} holds no images ({", ".join(IMAGES)})')
    names = [str(f.relative_to(images).with_suffix('')) for f in files]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise LabelError(f'two images are called {twice}: their labels would overwrite each other')
    jobs = [Job(file, out, name) for file, name in zip(files, names, strict=True)]
    return jobs[shard[0]::shard[1]]


class Labeller:
    """A teacher in one worker process.

    :param teacher: model file or name of a shipped model. :param threads: CPU threads of it.
    """

    def __init__(self, teacher: str, backend: str = 'auto', threads: int = 1) -> None:
        self._predictor = Predictor(teacher, backend, threads)

    def __call__(self, job: Job) -> str | None:
        """Label one image; gives what was wrong with it, if anything."""
        wanted = job.outputs(self._predictor.card)
        if all(path.exists() for path in wanted.values()):
            return None
        image = cv2.imread(str(job.image), cv2.IMREAD_COLOR)
        if image is None:
            return f'{job.image} cannot be read'
        try:
            prediction = self._predictor.predict(image, colour_order='bgr')
        except BackendError as error:
            return f'{job.image}: {error}'
        if 'depth' in wanted and prediction.metric is False and wanted['depth'].suffix == '.png':
            return (f'{job.image}: the teacher needs to know how the camera is mounted to give '
                    'metres; choose one without a mount')
        size = image.shape[1], image.shape[0]
        for name, path in wanted.items():
            _write(path, _encoded(prediction, name, path.suffix, size))
        return None


def _encoded(prediction: Prediction, name: str, suffix: str, size: tuple[int, int]) -> np.ndarray:
    """One output at the image's size, as it is stored."""
    values = getattr(prediction, name)
    if name != 'depth':
        return cv2.resize(values, size, interpolation=cv2.INTER_NEAREST_EXACT)
    depth = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    if suffix == '.npy':
        return depth
    millimetres = np.nan_to_num(depth * 1000)
    return np.where(millimetres <= _FARTHEST_MM, millimetres, 0).round().astype(np.uint16)


def _write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        if path.suffix == '.npy':
            np.save(partial, values)
        elif not cv2.imwrite(str(partial), values):
            raise OSError(f'{path} cannot be written')
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


_labeller: Labeller | None = None


def _start_worker(teacher: str, backend: str, threads: int) -> None:
    global _labeller
    _labeller = Labeller(teacher, backend, threads)


def _label(job: Job) -> str | None:
    assert _labeller is not None
    return _labeller(job)


def with_processes(jobs: Sequence[Job], teacher: str, backend: str,
                   workers: int) -> Iterator[str | None]:
    """What was wrong with each image, from processes of this machine that share its cores."""
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    with ProcessPoolExecutor(workers, initializer=_start_worker,
                             initargs=(teacher, backend, threads)) as pool:
        yield from pool.map(_label, jobs, chunksize=8)


def with_ray(jobs: Sequence[Job], teacher: str, backend: str, workers: int,
             gpus: float) -> Iterator[str | None]:
    """The same from ``workers`` actors of a Ray cluster, or of a local one where there is none."""
    import ray

    class Actor:
        def __init__(self) -> None:
            self._labeller = Labeller(teacher, backend)

        def __call__(self, row: dict[str, Any]) -> dict[str, str]:
            job = Job(Path(row['image']), Path(row['out']), row['name'])
            return {'problem': self._labeller(job) or ''}

    ray.init(ignore_reinit_error=True, log_to_driver=False)
    rows = [{k: str(v) for k, v in asdict(job).items()} for job in jobs]
    results = ray.data.from_items(rows).map(Actor, concurrency=workers, num_gpus=gpus)
    for row in results.iter_rows():
        yield row['problem'] or None


def label(images: Path, out: Path, teacher: str, backend: str = 'auto', engine: str = 'processes',
          workers: int = 1, gpus: float = 0.0, shard: tuple[int, int] = (0, 1)) -> dict[str, Any]:
    """Label what has no labels yet.

    :returns: ``images``, ``labelled`` before, ``done`` now, ``failed``; the latter's reasons are
        in ``failed.txt``.
    :raises LabelError: no images, or an unknown engine. :raises ModelFileError: no such teacher.
    """
    predictor = Predictor(teacher, backend, 1)
    if predictor.card.takes_mount:
        raise LabelError(f'teacher {predictor.card.name} needs to know how the camera is mounted, '
                         'which a collection of images does not say; choose one without a mount')
    jobs = jobs_of(images, out, shard)
    waiting = [j for j in jobs
               if not all(p.exists() for p in j.outputs(predictor.card).values())]
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).write_text(json.dumps({
        'images': str(images), 'teacher': predictor.card.name,
        'sha256': predictor.model.sha256, 'card': asdict(predictor.card)}, indent=1))
    problems = _problems(waiting, teacher, backend, engine, workers, gpus)
    failed = [p for p in tqdm(problems, total=len(waiting), unit='image', desc='label') if p]
    if failed:
        with (out / 'failed.txt').open('a', encoding='utf-8') as file:
            file.writelines(f'{line}\n' for line in failed)
    return {'images': len(jobs), 'labelled': len(jobs) - len(waiting),
            'done': len(waiting) - len(failed), 'failed': len(failed)}


def _problems(jobs: Sequence[Job], teacher: str, backend: str, engine: str, workers: int,
              gpus: float) -> Iterable[str | None]:
    if not jobs:
        return ()
    if engine == 'ray':
        return with_ray(jobs, teacher, backend, workers, gpus)
    return with_processes(jobs, teacher, backend, workers)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition('/')
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f'{text} is not I/N with 1 <= I <= N, such as 2/8')
    return int(index) - 1, int(count)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``dense-perception-label``."""
    parser = argparse.ArgumentParser(prog='dense-perception-label', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, help='folder of images, searched to any depth')
    parser.add_argument('--teacher', required=True, help='model file or name of a shipped model')
    parser.add_argument('--out', type=Path, required=True, help='folder of the labels')
    parser.add_argument('--backend', default='auto', help='runtime of the model file')
    parser.add_argument('--engine', default='processes', choices=['processes', 'ray'])
    parser.add_argument('--workers', type=int, default=1, help='processes or Ray actors')
    parser.add_argument('--gpus', type=float, default=0.0, help='GPUs of each Ray actor')
    parser.add_argument('--shard', type=_shard, default=(0, 1), metavar='I/N',
                        help='label only the I-th of N parts, on machines without Ray')
    args = parser.parse_args(arguments)
    try:
        counts = label(args.images, args.out, args.teacher, args.backend, args.engine,
                       args.workers, args.gpus, args.shard)
    except (BackendError, LabelError, ModelFileError) as error:
        raise SystemExit(f'dense-perception-label: {error}') from None
    except ModuleNotFoundError as error:
        raise SystemExit(f'dense-perception-label: --engine ray needs {error.name}: '
                         'pip install "ray[data]"') from None
    print(json.dumps(counts))


if __name__ == '__main__':
    main()
