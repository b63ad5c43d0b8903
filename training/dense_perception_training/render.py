"""``dense-perception-world``: render the procedural world into shards, resumably."""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from dense_perception import __version__
from dense_perception.world.catalogue import Catalogue
from dense_perception.world.photographs import Photographs
from dense_perception.world.scene import KINDS
from dense_perception.world.viewpoints import USUAL, Cameras
from dense_perception_training.shards import write_shard


@dataclass(frozen=True)
class Job:
    """One shard: ``scenes`` scenes from ``first_scene`` on, ``views`` frames of each."""

    out: str
    split: str
    first_scene: int
    scenes: int
    views: int
    width: int
    height: int
    kind: str | None = None
    catalogue: str | None = None
    photographs: str | None = None
    cameras: Cameras = USUAL

    @property
    def folder(self) -> Path:
        """Where the shard lands."""
        name = '_'.join(filter(None, (self.split, 'catalogue' if self.catalogue else None,
                                      'photographs' if self.photographs else None,
                                      self.cameras.name, self.kind, f'{self.first_scene:06d}')))
        return Path(self.out) / name


def render_shard(job: Job) -> int:
    """Render one shard unless it is there already; returns the number of frames rendered."""
    if job.folder.exists():
        return 0
    from dense_perception.world.renderer import Renderer, WorldFrame
    from dense_perception.world.sampler import sample_frames
    renderer = Renderer(job.width, job.height)
    catalogue = Catalogue(job.catalogue) if job.catalogue else None
    photographs = Photographs(job.photographs) if job.photographs else None
    meta = {'version': __version__, **asdict(job)}
    if catalogue:
        meta['libraries'] = catalogue.checksums()
    if photographs:
        meta['archives'] = photographs.checksums()

    def frames() -> Iterator[WorldFrame]:
        for scene in range(job.first_scene, job.first_scene + job.scenes):
            yield from sample_frames(scene, job.split, job.views, renderer, job.width, job.height,
                                     job.kind, catalogue, photographs, job.cameras)

    try:
        return write_shard(job.folder, frames(), meta)
    finally:
        renderer.close()


def main() -> None:
    """Entry point of ``dense-perception-world``."""
    parser = argparse.ArgumentParser(prog='dense-perception-world', description=__doc__)
    parser.add_argument('--out', required=True, help='folder for the shards')
    parser.add_argument('--split', choices=('train', 'held_out'), default='train',
                        help='texture bank and scene numbers; they share nothing but the '
                        'pieces of a catalogue')
    parser.add_argument('--kind', choices=KINDS, help='scenes of this kind alone (default: all '
                        'kinds but dining and worktop, in their usual shares)')
    parser.add_argument('--catalogue', metavar='FOLDER', help='Sweet Home 3D furniture libraries '
                        '(*.sh3f), whose pieces stand in for objects like them')
    parser.add_argument('--photographs', metavar='FOLDER', help='archives of MiniWorld and '
                        'robosuite (*.whl), whose photographs of materials stand in for textures')
    parser.add_argument('--lens', nargs=2, type=float, metavar=('FROM', 'TO'),
                        default=USUAL.lens,
                        help='horizontal fields of view, degrees (default: %(default)s)')
    parser.add_argument('--beside', action='store_true', help='cameras that stand next to an '
                        'object and look past it')
    parser.add_argument('--scenes', type=int, default=2000, help='number of scenes')
    parser.add_argument('--first-scene', type=int, default=0)
    parser.add_argument('--views', type=int, default=6, help='frames of each scene')
    parser.add_argument('--scenes-per-shard', type=int, default=40)
    parser.add_argument('--width', type=int, default=320)
    parser.add_argument('--height', type=int, default=256)
    parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    if args.photographs and args.split == 'held_out':
        parser.error('--photographs are for training frames: leave them out of --split held_out, '
                     'whose textures must not be seen in training')
    try:
        cameras = Cameras(tuple(args.lens), args.beside)
        if args.catalogue:
            Catalogue(args.catalogue)
        if args.photographs:
            Photographs(args.photographs)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    # One software-rendering thread a worker: the workers are the parallelism.
    os.environ.setdefault('LP_NUM_THREADS', '0')
    jobs = [Job(args.out, args.split, first,
                min(args.scenes_per_shard, args.first_scene + args.scenes - first), args.views,
                args.width, args.height, args.kind, args.catalogue, args.photographs, cameras)
            for first in range(args.first_scene, args.first_scene + args.scenes,
                               args.scenes_per_shard)]
    with multiprocessing.get_context('spawn').Pool(args.workers, maxtasksperchild=4) as pool, \
            tqdm(total=args.scenes * args.views, unit='frame', desc=args.split) as bar:
        for job, count in zip(jobs, pool.imap(render_shard, jobs), strict=True):
            bar.update(job.scenes * job.views)
            if not count:
                bar.set_postfix_str(f'{job.folder.name} was there already')


if __name__ == '__main__':
    main()
