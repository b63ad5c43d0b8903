"""The set-up script: what it says when something is missing, what it trusts of earlier runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.source_tree import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh folder with what the set-up consists of, and no environment yet."""
    for name in ('scripts', 'requirements'):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / 'Makefile', tmp_path)
    return tmp_path


@pytest.fixture
def bootstrap(clone: Path, monkeypatch: pytest.MonkeyPatch):
    """The script as a module, at work in the fresh folder."""
    monkeypatch.syspath_prepend(clone / 'scripts')
    for name in ('bootstrap', 'prerequisites'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import bootstrap
    assert bootstrap.VENV.parent == clone
    bootstrap.VENV.mkdir()
    return bootstrap


def test_missing_compilers_are_named_before_anything_is_made(clone: Path) -> None:
    result = subprocess.run([sys.executable, clone / 'scripts' / 'bootstrap.py', 'demo'],
                            env={'PATH': str(clone)}, capture_output=True, text=True)
    assert result.returncode == 1
    assert 'a C compiler (cc), a C++ compiler (c++), make' in result.stderr
    assert 'sudo apt install' in result.stderr and 'Traceback' not in result.stderr
    assert not (clone / '.venv').exists()


def test_make_names_an_unusable_python(clone: Path) -> None:
    result = subprocess.run(['make', 'setup-demo', 'PYTHON=/nowhere/python3'], cwd=clone,
                            capture_output=True, text=True)
    assert result.returncode != 0
    assert '"/nowhere/python3" is not a Python 3.10 or newer' in result.stderr


def test_step_counts_only_for_what_it_was_made_from(bootstrap) -> None:
    requirements = bootstrap.ROOT / 'requirements' / 'ros.txt'
    before = bootstrap.digest([requirements], '3.12')
    bootstrap.State().remember('ros', before)
    assert bootstrap.State().has('ros', before)
    assert not bootstrap.State().has('ros', bootstrap.digest([requirements], '3.13'))
    requirements.write_text('something-else')
    assert not bootstrap.State().has('ros', bootstrap.digest([requirements], '3.12'))


def test_step_that_was_begun_again_is_no_longer_done(bootstrap) -> None:
    bootstrap.State().remember('ros', 'key')
    bootstrap.State().forget('ros')
    assert not bootstrap.State().has('ros', 'key')


def test_package_without_pips_last_mark_is_installed_again(bootstrap) -> None:
    site = bootstrap.VENV / 'lib' / 'python3.12' / 'site-packages'
    for name, last in (('whole-1.0.dist-info', 'INSTALLER'), ('half-1.0.dist-info', 'RECORD')):
        (site / name).mkdir(parents=True)
        (site / name / 'METADATA').touch()
        (site / name / last).touch()
    bootstrap.remove_half_installed()
    assert [folder.name for folder in site.iterdir()] == ['whole-1.0.dist-info']


def test_failed_step_shows_the_end_of_its_output_and_names_the_log(bootstrap, capsys) -> None:
    job = bootstrap.Job('pip', [sys.executable, '-c', 'print("the reason"); exit(3)'], lock=0)
    with pytest.raises(bootstrap.SetupError, match=r'pip failed\..*\.venv/setup/pip\.log'):
        job.finish('pip failed.')
    assert 'the reason' in capsys.readouterr().err


def test_stopped_job_takes_its_children_with_it(bootstrap) -> None:
    job = bootstrap.Job('build', ['sh', '-c', 'sleep 60 & echo $!; wait'], lock=0)
    log = bootstrap.RECORDS / 'build.log'
    wait_until(lambda: log.read_text().endswith('\n'))
    job.stop()
    wait_until(lambda: not runs(int(log.read_text())))


def runs(process: int) -> bool:
    status = Path('/proc', str(process), 'status')
    return status.exists() and 'zombie' not in status.read_text()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
