"""The container files as far as they can be checked without a container runtime."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.source_tree import ROOT
from packaging.requirements import Requirement

FILES = sorted((ROOT / 'docker').glob('Dockerfile.*'))


def instructions(file: Path) -> list[tuple[str, str]]:
    """(instruction, value) with continued lines joined."""
    dockerfile_parse = pytest.importorskip('dockerfile_parse',
                                           reason='dockerfile-parse is not installed')
    parser = dockerfile_parse.DockerfileParser(fileobj=io.BytesIO(file.read_bytes()))
    return [(entry['instruction'], entry['value']) for entry in parser.structure]


def runs(file: Path) -> list[str]:
    return [value for name, value in instructions(file) if name == 'RUN']


def test_there_is_one_for_every_platform_and_the_readme_names_them():
    assert [f.suffix for f in FILES] == ['.cpu', '.cuda', '.jetpack5', '.jetpack6', '.jetpack7']
    readme = (ROOT / 'docker' / 'README.md').read_text()
    assert all(f'`{file.name}`' in readme for file in FILES)


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.suffix[1:])
def test_it_parses_and_copies_what_is_there(file: Path):
    found = instructions(file)
    names = [name for name, _ in found]
    assert {'FROM', 'RUN', 'COPY', 'ENTRYPOINT'} <= set(names) <= {
        'ARG', 'FROM', 'SHELL', 'ENV', 'RUN', 'COPY', 'VOLUME', 'ENTRYPOINT', 'COMMENT'}
    for name, value in found:
        if name == 'COPY' and not value.startswith('--from='):
            assert (ROOT / value.split()[0]).exists()
    folders = re.findall(r'--base-paths (\S+) (\S+)', ' '.join(runs(file)))
    assert [tuple((ROOT / Path(f).relative_to('src/dense_perception') / 'package.xml').is_file()
                  for f in pair) for pair in folders] == [(True, True)]


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.suffix[1:])
def test_its_shell_is_bash_that_parses(file: Path):
    bash = shutil.which('bash')
    for script in runs(file):
        subprocess.run([bash, '-n', '-c', script], check=True)
    assert ('SHELL', '["/bin/bash", "-euo", "pipefail", "-c"]') in instructions(file)
    subprocess.run([bash, '-n', ROOT / 'docker' / 'entrypoint.sh'], check=True)


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.suffix[1:])
def test_the_entry_point_is_an_executable_of_this_package(file: Path):
    command = json.loads(dict(instructions(file))['ENTRYPOINT'])
    assert command[:2] == ['/bin/bash', '/entrypoint.sh']
    setup = (ROOT / 'setup.py').read_text()
    assert f"'{command[2]} = dense_perception." in setup
    # setup.cfg puts executables where the script looks for them.
    assert 'lib/dense_perception/$1' in (ROOT / 'docker' / 'entrypoint.sh').read_text()


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.suffix[1:])
def test_pip_and_apt_get_what_is_declared(file: Path):
    text = ' '.join(runs(file))
    assert 'pip install' in text and '/tmp/src' in text
    for quoted in re.findall(r'"(cuda-[^"]*)"', text):
        assert Requirement(quoted).name == 'cuda-bindings'
    apt = set(re.findall(r'ros-\$\{ROS_DISTRO\}-([\w-]+)', text))
    manifest = (ROOT / 'package.xml').read_text()
    for package in apt - {'ros-base'}:
        assert f'<exec_depend>{package.replace("-", "_")}</exec_depend>' in manifest
    assert {'cv-bridge', 'tf2-ros', 'vision-msgs', 'rmw-fastrtps-cpp'} <= apt
