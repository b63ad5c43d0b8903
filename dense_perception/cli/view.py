"""``dense-perception view``: camera, depth, mask, cloud and times of a running graph, live."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dense_perception.cli import interrupts
from dense_perception.cli.viewing.viewer import Viewer, ViewerClosed

if TYPE_CHECKING:
    from dense_perception.cli.viewing.listener import Listener

_WAITING_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--namespace', default='', help='namespace of the perception node')
    parser.add_argument('--remap', action='append', default=[], metavar='NAME:=TOPIC',
                        help='another topic, as in image:=/camera/image_rect; may be given '
                        'several times')
    parser.add_argument('--compressed', action='store_true',
                        help='take the camera from image/compressed')
    parser.add_argument('--duration', type=float, metavar='SECONDS',
                        help='end by itself (default: with Ctrl-C or when the window is closed)')
    parser.add_argument('--rate', type=float, default=0.0, metavar='HZ',
                        help='show at most so many messages of a topic per second (default: all)')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--web', action='store_true', help='in a browser instead of a window')
    where.add_argument('--record', type=Path, metavar='FILE.rrd',
                       help='into a file that Rerun can show later')
    where.add_argument('--save-png', type=Path, metavar='FOLDER',
                       help='pictures into a folder; needs no Rerun')
    parser.add_argument('--port', type=int, default=9090,
                        help='of the page with --web; the data comes from the next one (default: '
                        '9090)')
    parser.add_argument('--period', type=float, default=1.0, metavar='SECONDS',
                        help='between two pictures of --save-png (default: 1)')


def run(args: argparse.Namespace) -> int:
    """Show until the viewer is closed, the time is over or Ctrl-C; exit code 0."""
    from dense_perception.cli.viewing.listener import Listener
    viewer: Viewer | None = None
    said: set[str] = set()

    def complain(level: int, sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            print(f'view: {sentence}', file=sys.stderr, flush=True)
            assert viewer is not None
            viewer.said(level, sentence)

    ending = 'the time is over'
    try:
        viewer = _open(args)
        with interrupts.unmasked(), Listener(viewer, complain, args.namespace, args.remap,
                                             args.compressed, args.rate) as listener:
            print(f'view: waiting for messages in namespace {args.namespace or "/"}', flush=True)
            _show(listener, viewer, args.duration)
    except ViewerClosed as closed:
        ending = str(closed)
    except KeyboardInterrupt:
        ending = 'interrupted'
    finally:
        result = viewer.close() if viewer else ''
    print(f'view: {ending}' + (f'; {result}' if result else ''))
    return 0


def _open(args: argparse.Namespace) -> Viewer:
    if args.save_png:
        from dense_perception.cli.viewing.png_viewer import PngViewer
        return PngViewer(args.save_png, args.period)
    from dense_perception.cli.viewing import rerun_viewer
    if args.record:
        return rerun_viewer.Recording(args.record)
    return rerun_viewer.Browser(args.port) if args.web else rerun_viewer.Window()


def _show(listener: Listener, viewer: Viewer, duration: float | None) -> None:
    start = time.monotonic()
    asked = False
    while duration is None or time.monotonic() - start < duration:
        listener.spin(0.1)
        viewer.tick()
        if not asked and not listener.shown and time.monotonic() - start > _WAITING_S:
            asked = True
            topics = listener.topics()
            print('view: nothing to show yet; '
                  + (f'somebody publishes {", ".join(topics)}' if topics else
                     'nobody publishes any of its topics here: is ROS_DOMAIN_ID right, and the '
                     'namespace? "dense-perception doctor" looks closer'), flush=True)
