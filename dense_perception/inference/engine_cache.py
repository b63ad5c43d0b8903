"""Engines on disk: a cache of model files, valid only for the machine that built them.

An engine is code. The cache is private to its user, and nothing is loaded from it that belongs to
somebody else or is not, byte for byte, what was written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

SCHEMA = 1
"""Of keys and sidecars, and of how engines are built: counts up when either changes."""

_LOGGER = logging.getLogger(__name__)
_LOOK_AGAIN_S = 0.1
_ONE_AT_A_TIME = threading.Lock()
"""Of a process: a build takes the GPU and the memory that another one would need."""

_WORDS = {
    'model_sha256': 'model file', 'runtime_version': 'version of the runtime',
    'cuda': "the driver's CUDA", 'gpu': 'GPU', 'capability': 'compute capability',
    'shapes': 'input shapes', 'options': 'options', 'schema': 'schema of the cache'}


def default_folder() -> Path:
    """``dense_perception/engines`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.

    :raises OSError: this user has no home.
    """
    base = os.environ.get('XDG_CACHE_HOME', '')
    try:
        root = Path(base) if os.path.isabs(base) else Path.home() / '.cache'
    except RuntimeError as error:
        raise OSError(None, str(error)) from None
    return root / 'dense_perception' / 'engines'


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on. Two engines are interchangeable if their keys are equal.

    One that was built ahead of time has no ``cuda`` and no ``gpu``, and the capabilities it was
    built for.
    """

    model_sha256: str
    runtime: str
    runtime_version: str
    cuda: str
    gpu: str
    capability: str
    precision: str
    shapes: str
    options: str = ''
    schema: int = SCHEMA

    def digest(self) -> str:
        """Hexadecimal hash of all fields."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: dict[str, Any]) -> list[str]:
        """What differs from the key of a sidecar, in words."""
        return [f'{_WORDS[f.name]} was {other.get(f.name)!r} and is {getattr(self, f.name)!r}'
                for f in fields(self)
                if f.name in _WORDS and other.get(f.name) != getattr(self, f.name)]


class EngineCache:
    """Engines by key in one folder; every failure of the disk is a sentence, never an exception.

    :param model_name: goes into the names of the files, for people.
    :param folder: default: :func:`default_folder`.
    """

    def __init__(self, key: EngineKey, model_name: str, folder: Path | None = None) -> None:
        self._key = key
        name = re.sub(r'[^\w.-]', '_', model_name)[:80]
        self._stem = f'{name}-{key.runtime}-{key.precision}-{key.digest()[:16]}'
        self.problem: str | None = None
        """Why the cache cannot be used; None while it can."""
        self.about: dict[str, Any] = {}
        """What the sidecar says of the engine that was loaded or stored last."""
        self._is_free = True
        try:
            self.folder = folder or default_folder()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self.folder = folder or Path('.')
            self._say(error, 'used')
        self.path = self.folder / f'{self._stem}.engine'
        self._sidecar = self.path.with_suffix('.json')

    def load(self) -> tuple[bytes | None, str]:
        """The engine and ''; or None and the reason why one has to be built."""
        try:
            for file in (self.path, self._sidecar):
                if file.stat().st_uid not in (0, os.geteuid()):
                    return None, f'{file} belongs to another user'
            engine = self.path.read_bytes()
            about = json.loads(self._sidecar.read_text())
            if hashlib.sha256(engine).hexdigest() != about['sha256']:
                return None, f'{self.path} is damaged'
            if differences := self._key.differences(about['key']):
                return None, f'{self.path} is stale: {", ".join(differences)}'
        except FileNotFoundError:
            return None, self._nearest()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return None, f'{self.path} or its sidecar cannot be read ({error})'
        self.about = about
        return engine, ''

    def store(self, engine: bytes, about: dict[str, Any]) -> Path | None:
        """Write an engine and its sidecar; None, and :attr:`problem`, if that fails.

        :param about: more for the sidecar: how long it took, how accurate it is.
        """
        if self.problem:
            return None
        try:
            write_atomically(self.path, engine)
        except OSError as error:
            self._say(error, 'written')
            return None
        self.about = {'key': asdict(self._key), 'bytes': len(engine),
                      'sha256': hashlib.sha256(engine).hexdigest()}
        self.note(about)
        return None if self.problem else self.path

    def note(self, about: dict[str, Any]) -> None:
        """Add to the sidecar of the engine that was loaded or stored last."""
        self.about |= about
        if self.problem:
            return
        try:
            write_atomically(self._sidecar, json.dumps(self.about, indent=1).encode())
        except OSError as error:
            self._say(error, 'written')

    @contextlib.contextmanager
    def lock(self, go_on: Callable[[], bool] = lambda: True) -> Iterator[bool]:
        """Hold the right to build: of several processes one builds, the others find the engine.

        Within a process one engine is built at a time, whichever it is.

        :param go_on: asked ten times a second while another build is waited for.
        :yields: True; False if ``go_on`` was False before the right was had.
        """
        with contextlib.ExitStack() as stack:
            while not _ONE_AT_A_TIME.acquire(timeout=_LOOK_AGAIN_S):
                if not go_on():
                    yield False
                    return
            stack.callback(_ONE_AT_A_TIME.release)
            file = None
            if not self.problem:
                try:
                    file = stack.enter_context(open(self.folder / f'{self._stem}.lock', 'w'))
                except OSError as error:
                    self._say(error, 'locked')
            while file is not None and self._is_another_s(file):
                if not go_on():
                    yield False
                    return
                time.sleep(_LOOK_AGAIN_S)
            yield True

    def _is_another_s(self, file: IO[str]) -> bool:
        """Take the lock between processes; True if another one has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._is_free:
                _LOGGER.info('another process builds %s: waiting for it', self.path)
            self._is_free = False
            return True
        except OSError as error:
            self._say(error, 'locked')
        return False

    def _say(self, error: OSError, verb: str) -> None:
        folder = getattr(self, 'folder', 'the cache folder')
        self.problem = (f'engine cache {folder} cannot be {verb} ({error.strerror or error}): '
                        'engines are built anew at each start; set XDG_CACHE_HOME to a folder '
                        'that can be written')
        _LOGGER.warning('%s', self.problem)

    def _nearest(self) -> str:
        """Why there is no engine: what changed against the most similar one."""
        nearest: list[str] | None = None
        with contextlib.suppress(OSError):
            for file in sorted(self.folder.glob(f'*-{self._key.runtime}-*.json')):
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                    key = json.loads(file.read_text())['key']
                    same = all(key[name] == getattr(self._key, name)
                               for name in ('model_sha256', 'runtime', 'precision'))
                    same = same and bool(key['gpu']) == bool(self._key.gpu)
                    differences = self._key.differences(key)
                    if same and (nearest is None or len(differences) < len(nearest)):
                        nearest = differences
        if not nearest:
            return f'no engine was built yet for this model in {self._key.precision}'
        return f'the engine in the cache is of another machine state: {", ".join(nearest)}'


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then put it in place; nothing is left on failure.

    :raises OSError: it cannot be written.
    """
    number, partial = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(number, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
