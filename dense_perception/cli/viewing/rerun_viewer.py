"""Rerun as the viewer: in a window, in a browser, or as a recording for later."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dense_perception import viz
from dense_perception.cli.command import CommandError
from dense_perception.cli.viewing.viewer import ViewerClosed
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import UNLABELLED, ClassInfo

CAMERA, OUTPUTS, SEGMENTATION, WORLD = 'camera', 'depth', 'segmentation', 'world'
IMAGE, METRIC, RELATIVE, MASK, FRAME, CLOUD = (
    f'{CAMERA}/image', f'{OUTPUTS}/metric', f'{OUTPUTS}/relative', f'{SEGMENTATION}/mask',
    f'{WORLD}/camera', f'{WORLD}/camera/points')
NUMBERS, LOG, TIMELINE = 'milliseconds', 'log', 'stamp'
_MOST_POINTS = 50_000
_JPEG_QUALITY = 85
_WINDOW_PATIENCE_S = 30.0
_LEVELS = {1: 'WARN', 2: 'ERROR'}
_WINDOW = ('--bind', '127.0.0.1', '--memory-limit', '2GB', '--hide-welcome-screen',
           '--expect-data-soon')


class RerunViewer:
    """Logs to Rerun; where that goes is decided by the subclass."""

    def __init__(self) -> None:
        # Its Rust side speaks of every lost connection; what matters is said here.
        os.environ.setdefault('RUST_LOG', 'off')
        try:
            import rerun
        except ModuleNotFoundError:
            raise CommandError(
                'this needs Rerun: pip install "dense_perception[view]" (rerun-sdk); '
                '--save-png FOLDER writes pictures without it') from None
        self._rr: Any = rerun
        self._recording = rerun.RecordingStream('dense_perception')
        self._known: dict[str, Any] = {}
        self._open()
        self._recording.send_blueprint(self._blueprint())
        self._recording.log(WORLD, rerun.ViewCoordinates.RDF, static=True)

    def camera(self, time: float, pixels: np.ndarray) -> None:
        """See ``Viewer``."""
        self._log(IMAGE, time, self._rr.Image(pixels).compress(jpeg_quality=_JPEG_QUALITY))

    def depth(self, time: float, depth: np.ndarray, metric: bool) -> None:
        """See ``Viewer``."""
        path, meter = (METRIC, 1.0) if metric else (RELATIVE, None)
        before = self._known.get('depth', path)
        if self._changed('depth', path) and before != path:
            self._log(before, time, self._rr.Clear(recursive=False))
        # Rerun draws zero as "no depth", and NaN as an error.
        self._log(path, time, self._rr.DepthImage(np.nan_to_num(depth, nan=0.0, posinf=0.0),
                                                  meter=meter, colormap='turbo'))

    def mask(self, time: float, labels: np.ndarray) -> None:
        """See ``Viewer``."""
        self._log(MASK, time, self._rr.SegmentationImage(labels))

    def cloud(self, time: float, points: np.ndarray) -> None:
        """See ``Viewer``."""
        flat = points.ravel()
        flat = flat[np.isfinite(flat['z'])]
        flat = flat[::-(-len(flat) // _MOST_POINTS) or 1]
        colours, ids = None, None
        if 'rgb' in flat.dtype.names:
            packed = np.ascontiguousarray(flat['rgb']).view(np.uint32)
            colours = np.stack([packed >> 16, packed >> 8, packed], -1).astype(np.uint8)
        elif 'label' in flat.dtype.names:
            ids = flat['label'].astype(np.uint16)
        self._log(CLOUD, time, self._rr.Points3D(
            np.stack([flat[axis] for axis in 'xyz'], -1), colors=colours, class_ids=ids,
            radii=self._rr.Radius.ui_points(1.5)))

    def intrinsics(self, time: float, of: str, intrinsics: Intrinsics) -> None:
        """See ``Viewer``."""
        if not self._changed(of, intrinsics):
            return
        k = intrinsics
        for path in (CAMERA,) if of == 'camera' else (OUTPUTS, SEGMENTATION):
            self._log(path, time, self._rr.Pinhole(
                focal_length=[k.fx, k.fy], principal_point=[k.cx + 0.5, k.cy + 0.5],
                resolution=[k.width, k.height], camera_xyz=self._rr.ViewCoordinates.RDF))

    def mount(self, mount: Mount | None) -> None:
        """Level the cloud and put its ground at zero."""
        if self._changed('mount', mount):
            self._recording.log(FRAME, self._rr.Transform3D(
                mat3x3=viz.level_axes(mount.down if mount else (0.0, 1.0, 0.0)),
                translation=[0.0, -mount.height if mount else 0.0, 0.0]))

    def classes(self, classes: Sequence[ClassInfo]) -> None:
        """See ``Viewer``."""
        if self._changed('classes', tuple(classes)):
            named = [(c.id, c.name, c.colour) for c in classes]
            self._recording.log('/', self._rr.AnnotationContext(
                [*named, (UNLABELLED, 'unlabelled', (0, 0, 0))]), static=True)

    def numbers(self, time: float, values: Mapping[str, float]) -> None:
        """See ``Viewer``."""
        for name, value in values.items():
            self._log(f'{NUMBERS}/{name}', time, self._rr.Scalars([value]))

    def said(self, level: int, sentence: str) -> None:
        """See ``Viewer``."""
        self._recording.log(LOG, self._rr.TextLog(sentence, level=_LEVELS[level]))

    def tick(self) -> None:
        """See ``Viewer``."""

    def close(self) -> str:
        """See ``Viewer``."""
        self._recording.disconnect()
        return ''

    def _open(self) -> None:
        raise NotImplementedError

    def _log(self, path: str, time: float, what: Any) -> None:
        self._recording.set_time(TIMELINE, timestamp=time)
        self._recording.log(path, what)

    def _changed(self, name: str, value: Any) -> bool:
        changed = self._known.get(name) != value
        self._known[name] = value
        return changed

    def _blueprint(self) -> Any:
        import rerun.blueprint as rrb
        images = rrb.Grid(
            rrb.Spatial2DView(origin=CAMERA, name='camera'),
            rrb.Spatial2DView(origin=OUTPUTS, name='depth'),
            rrb.Spatial2DView(origin=SEGMENTATION, name='mask'),
            rrb.Spatial3DView(origin=WORLD, name='cloud'))
        return rrb.Blueprint(
            rrb.Vertical(images, rrb.Horizontal(
                rrb.TimeSeriesView(origin=NUMBERS, name='milliseconds'),
                rrb.TextLogView(origin=LOG, name='what is wrong')), row_shares=[3, 1]),
            collapse_panels=True)


class Recording(RerunViewer):
    """Into a file, which gets its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f'.{path.name}.part')
        super().__init__()

    def close(self) -> str:
        """See ``Viewer``."""
        super().close()
        os.replace(self._unfinished, self._path)
        return f'recorded in {self._path}; show it with: rerun {self._path}'

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._unfinished.touch()
        except OSError as error:
            raise CommandError(f'cannot write {self._path}: {error.strerror}') from None
        self._recording.save(self._unfinished)


class Browser(RerunViewer):
    """Served to a browser on this machine.

    :param port: of the page; the data comes from the next one.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def _open(self) -> None:
        for port in (self._port, self._port + 1):
            with socket.socket() as probe:
                try:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(('', port))
                except OSError:
                    raise CommandError(f'port {port} is in use; choose another with --port') \
                        from None
        address = self._recording.serve_grpc(grpc_port=self._port + 1)
        self._rr.serve_web_viewer(web_port=self._port, open_browser=False, connect_to=address)
        print(f'view: open http://localhost:{self._port}/?url={address.replace("+", "%2B")}',
              flush=True)


class Window(RerunViewer):
    """In a window of its own, which may be closed at any time.

    :param command: starts the viewer; the port to listen on follows.
    """

    def __init__(self, command: Sequence[str] = (sys.executable, '-m', 'rerun', *_WINDOW)) -> None:
        self._command = command
        super().__init__()

    def tick(self) -> None:
        """See ``Viewer``.

        :raises CommandError: the window could not be opened.
        """
        code = self._process.poll()
        if code == 0:
            raise ViewerClosed('the window was closed')
        if code is not None:
            lines = self._errors().splitlines() or [f'exit code {code}']
            raise CommandError(f'the window is gone: {lines[-1].rpartition(": ")[2]}; without a '
                               'screen use --web, --record FILE or --save-png FOLDER')

    def close(self) -> str:
        """See ``Viewer``."""
        super().close()
        self._end(signal.SIGTERM)
        return ''

    def _open(self) -> None:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            address = probe.getsockname()
        self._folder = tempfile.TemporaryDirectory(prefix='dense_perception_view_')
        with open(self._log_file, 'wb') as log:
            # A session of its own, so that Ctrl-C ends us first and the window after us.
            self._process = subprocess.Popen(
                [*self._command, '--port', str(address[1])], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
        self._wait_for(address)
        self._recording.connect_grpc(f'rerun+http://127.0.0.1:{address[1]}/proxy')

    def _wait_for(self, address: tuple[str, int]) -> None:
        end = clock.monotonic() + _WINDOW_PATIENCE_S
        while clock.monotonic() < end:
            self.tick()
            with socket.socket() as probe:
                if probe.connect_ex(address) == 0:
                    return
            clock.sleep(0.1)
        self._end(signal.SIGKILL)
        raise CommandError(f'the viewer did not answer within {_WINDOW_PATIENCE_S:.0f} s')

    def _end(self, number: signal.Signals) -> None:
        """End the whole session: Rerun's command is a script that starts the viewer."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait()

    @property
    def _log_file(self) -> Path:
        return Path(self._folder.name) / 'log'

    def _errors(self) -> str:
        return self._log_file.read_text(errors='replace').strip()
