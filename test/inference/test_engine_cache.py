"""Engines on disk: found again only where they are valid, whatever is on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dense_perception.inference import engine_cache
from dense_perception.inference.engine_cache import EngineCache, EngineKey, default_folder

KEY = EngineKey('ab' * 32, 'tensorrt', '10.3.0', '12.6', 'Orin', '8.7', 'fp16', '[]')
ENGINE = b'engine' * 1000


def stored(folder: Path, key: EngineKey = KEY) -> EngineCache:
    cache = EngineCache(key, 'my model/2', folder)
    assert cache.store(ENGINE, {'build_seconds': 3.0}) == cache.path
    return cache


def test_what_was_stored_is_found_and_described(tmp_path: Path):
    cache = stored(tmp_path / 'engines')
    assert EngineCache(KEY, 'my model/2', tmp_path / 'engines').load() == (ENGINE, '')
    about = json.loads(cache.path.with_suffix('.json').read_text())
    assert about['key']['gpu'] == 'Orin' and about['build_seconds'] == 3.0
    assert cache.path.name.startswith('my_model_2-tensorrt-fp16-')
    assert cache.folder.stat().st_mode & 0o077 == 0
    assert len(list(cache.folder.iterdir())) == 2


@pytest.mark.parametrize(('change', 'said'), [
    ({'runtime_version': '10.7.0'}, "version of the runtime was '10.3.0' and is '10.7.0'"),
    ({'cuda': '12.8'}, 'CUDA was'), ({'gpu': 'Thor'}, 'GPU was'),
    ({'capability': '11.0'}, 'compute capability was'), ({'shapes': '[1]'}, 'input shapes was'),
    ({'options': 'x'}, 'options was'), ({'schema': 99}, 'schema of the cache was'),
    ({'model_sha256': 'cd' * 32}, 'no engine was built yet'),
    ({'precision': 'fp32'}, 'no engine was built yet for this model in fp32'),
    ({'runtime': 'tensorrt_rtx'}, 'no engine was built yet')])
def test_every_field_of_the_key_makes_another_engine(tmp_path: Path, change: dict, said: str):
    stored(tmp_path)
    engine, reason = EngineCache(replace(KEY, **change), 'my model/2', tmp_path).load()
    assert engine is None and said in reason


@pytest.mark.parametrize(('damage', 'said'), [
    (lambda c: c.path.write_bytes(ENGINE[:-1]), 'is damaged'),
    (lambda c: c.path.write_bytes(b''), 'is damaged'),
    (lambda c: c.path.with_suffix('.json').write_text('{'), 'cannot be read'),
    (lambda c: c.path.with_suffix('.json').write_text('[]'), 'cannot be read'),
    (lambda c: c.path.with_suffix('.json').write_text('{}'), 'cannot be read'),
    (lambda c: c.path.with_suffix('.json').unlink(), 'no engine was built yet'),
    (lambda c: (c.path.unlink(), c.path.mkdir()), 'cannot be read')])
def test_a_damaged_engine_is_not_loaded(tmp_path: Path, damage, said: str):
    cache = stored(tmp_path)
    damage(cache)
    engine, reason = cache.load()
    assert engine is None and said in reason


def test_an_engine_of_another_user_is_not_loaded(tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch):
    cache = stored(tmp_path)
    os.chown(cache.path, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(
        engine_cache.os, 'geteuid', lambda: 12345)
    engine, reason = cache.load()
    assert engine is None and 'belongs to another user' in reason


def test_a_folder_that_cannot_be_made_is_said_and_nothing_fails(
        tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / 'file').write_text('')
    with caplog.at_level(logging.WARNING):
        cache = EngineCache(KEY, 'm', tmp_path / 'file' / 'engines')
    assert 'cannot be used (Not a directory)' in caplog.text and 'XDG_CACHE_HOME' in caplog.text
    assert cache.load()[0] is None
    with cache.lock():
        assert cache.store(ENGINE, {}) is None


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = EngineCache(KEY, 'm', tmp_path)

    def full(number: int) -> None:
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(engine_cache.os, 'fsync', full)
    assert cache.store(ENGINE, {}) is None
    assert 'No space left on device' in (cache.problem or '')
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def as_a_user_who_cannot_write(folder: Path) -> Iterator[None]:
    """The folder is read-only meanwhile, also for root."""
    user = os.geteuid()
    os.chmod(folder, 0o555)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        os.chmod(folder, 0o755)


def test_a_read_only_folder_gives_its_engines_and_takes_none():
    other = replace(KEY, precision='fp32')
    with tempfile.TemporaryDirectory() as name:  # pytest's own lie in one that is closed to others
        os.chmod(name, 0o755)
        cache = stored(Path(name))
        for file in (cache.path, cache.path.with_suffix('.json')):
            file.chmod(0o644)  # an administrator's wish that all may use it
        with as_a_user_who_cannot_write(Path(name)):
            assert EngineCache(KEY, 'my model/2', Path(name)).load() == (ENGINE, '')
            cache = EngineCache(other, 'my model/2', Path(name))
            with cache.lock() as mine:
                assert mine and cache.store(ENGINE, {}) is None
            assert 'cannot be locked (Permission denied)' in (cache.problem or '')
        assert len(list(Path(name).iterdir())) == 2


def test_waiting_for_another_build_can_be_given_up(tmp_path: Path):
    cache, asked = EngineCache(KEY, 'm', tmp_path), []
    with cache.lock() as mine:
        assert mine
        with EngineCache(replace(KEY, precision='fp32'), 'm', tmp_path).lock(
                lambda: bool(asked.append(1))) as other:
            assert not other and asked  # in one process one engine at a time, whichever it is
    with open(next(tmp_path.glob('*fp16*.lock')), 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as another process would
        with cache.lock(lambda: False) as other:
            assert not other
    with cache.lock(lambda: False) as mine:
        assert mine


def test_the_cache_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert default_folder() == tmp_path / 'dense_perception' / 'engines'
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')  # to be ignored, by the specification
    monkeypatch.setenv('HOME', '/home/robot')
    assert default_folder() == Path('/home/robot/.cache/dense_perception/engines')


def test_of_two_processes_one_builds(tmp_path: Path):
    """Each takes the lock, and "builds" slowly unless it finds the engine."""
    script = f"""
import sys, time
from dense_perception.inference.engine_cache import EngineCache, EngineKey
key = EngineKey(*{list(vars(KEY).values())[:8]!r})
cache = EngineCache(key, 'm', __import__('pathlib').Path({str(tmp_path)!r}))
with cache.lock():
    if cache.load()[0] is None:
        time.sleep(0.5)
        cache.store(b'e' * 100, {{}})
        print('built')
    else:
        print('found')
"""
    processes = [subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE,
                                  text=True) for _ in range(2)]
    assert sorted(p.communicate(timeout=60)[0].strip() for p in processes) == ['built', 'found']
