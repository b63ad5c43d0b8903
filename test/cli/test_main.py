"""The command's frame: help, wrong usage, missing packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dense_perception.cli.main import COMMANDS, main


def test_help_names_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]):
    probe = ('import sys; from dense_perception.cli.main import main\n'
             'try: main(["--help"])\n'
             'except SystemExit: pass\n'
             'print([m for m in ("numpy", "rclpy", "torch") if m in sys.modules])')
    out = subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True,
                         check=True).stdout
    assert all(name in out for name in COMMANDS)
    assert out.rstrip().endswith('[]')


@pytest.mark.parametrize('arguments', [[], ['fly'], ['demo', '--duration', '0'],
                                       ['benchmark', 'nothing']])
def test_wrong_usage_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert 'usage: dense-perception' in capsys.readouterr().err


def test_a_missing_package_is_named():
    probe = ('import sys; sys.modules["tqdm"] = None\n'
             'from dense_perception.cli.main import main; sys.exit(main(["demo"]))')
    process = subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True)
    assert process.returncode == 1
    assert 'needs the Python package tqdm' in process.stderr


def test_a_reader_that_has_read_enough_is_no_failure():
    command = [sys.executable, '-m', 'dense_perception.cli.main', 'models', 'list']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ''
    assert process.wait() == 141
