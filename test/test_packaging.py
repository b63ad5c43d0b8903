"""What is declared, what is imported and what a wheel holds are the same things."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from xml.etree import ElementTree

import pytest
from catkin_pkg.package import parse_package
from helpers.source_tree import PACKAGE, ROOT, imports, is_ros

import dense_perception

MANIFEST = ElementTree.parse(ROOT / 'package.xml').getroot()
GENERATED = ('__pycache__', '*.egg-info')

ROBOT_ROOMS = ('geometry', 'inference', 'nodes', 'ros', 'sources')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that ``pip install .`` would install, built from a copy of the source."""
    copy = tmp_path_factory.mktemp('source') / 'dense_perception'
    copy.mkdir()
    for name in ('dense_perception', 'dense_perception_msgs', 'test', 'training', 'launch',
                 'config', 'resource'):
        shutil.copytree(ROOT / name, copy / name,
                        ignore=shutil.ignore_patterns(*GENERATED))
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'package.xml', 'LICENSE'):
        shutil.copy(ROOT / name, copy)
    out = tmp_path_factory.mktemp('wheel')
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
                    '--no-build-isolation', '--wheel-dir', out, copy], check=True)
    return zipfile.ZipFile(next(out.glob('*.whl')))


def test_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    expected = {file.relative_to(ROOT).as_posix() for file in PACKAGE.rglob('*')
                if file.is_file() and '__pycache__' not in file.parts}
    held = {name for name in wheel.namelist()
            if '.dist-info/' not in name and '.data/' not in name}
    assert held == expected


def test_wheel_holds_what_ros_looks_for_in_share(wheel: zipfile.ZipFile) -> None:
    held = {name.partition('.data/data/share/')[2] for name in wheel.namelist()} - {''}
    files = [*(ROOT / 'launch').glob('*.launch.py'),
             *(file for file in (ROOT / 'config').rglob('*') if file.is_file())]
    assert held == {f'dense_perception/{file.relative_to(ROOT)}' for file in files} | {
        'dense_perception/package.xml', 'ament_index/resource_index/packages/dense_perception'}


def test_every_console_script_can_be_called(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith('entry_points.txt'))
    parser = ConfigParser()
    parser.read_string(wheel.read(name).decode())
    scripts = dict(parser['console_scripts'])
    assert scripts.keys() == {'dense-perception', 'image_source', 'multi_camera', 'perception',
                              'point_cloud'}
    for target in scripts.values():
        module, _, function = target.partition(':')
        assert callable(getattr(importlib.import_module(module), function))


def test_the_ros_packages_that_are_imported_are_the_ones_declared() -> None:
    files = [*PACKAGE.rglob('*.py'), *(ROOT / 'launch').glob('*.py')]
    imported = {module.partition('.')[0] for file in files for module in imports(file)}
    declared = {depend.text for depend in MANIFEST.iter('exec_depend')}
    # Fast DDS is not imported but chosen: the shipped profile is for it.
    assert {name for name in declared if not name.startswith('python3-')} == \
        set(filter(is_ros, imported)) | {'rmw_fastrtps_cpp'}


def test_the_robot_rooms_import_only_what_pip_installs_without_extras() -> None:
    required = {re.match(r'[\w-]+', line)[0].lower() for line in requires('dense_perception')
                if 'extra ==' not in line}
    runtimes = {'openvino'}  # each in a module of inference/backends that is imported on demand
    providers = packages_distributions()
    for room in ROBOT_ROOMS:
        for file in (PACKAGE / room).rglob('*.py'):
            tops = {module.partition('.')[0] for module in imports(file)}
            if file.parent.name == 'backends':
                tops -= runtimes
            for top in tops - sys.stdlib_module_names - {'dense_perception'}:
                assert is_ros(top) or required & {name.lower() for name in providers[top]}, \
                    f'{file.relative_to(ROOT)} imports {top}, which setup.py does not require'


@pytest.mark.parametrize('folder', [ROOT, ROOT / 'dense_perception_msgs'], ids=lambda f: f.name)
def test_the_manifests_are_valid(folder: Path) -> None:
    warnings: list[str] = []
    assert parse_package(str(folder), warnings=warnings).package_format == 3
    assert warnings == []


def test_the_packages_have_one_version() -> None:
    messages = ElementTree.parse(ROOT / 'dense_perception_msgs' / 'package.xml')
    training = (ROOT / 'training' / 'pyproject.toml').read_text()
    assert dense_perception.__version__ == MANIFEST.findtext('version') \
        == messages.findtext('version') \
        == re.search(r'^version = "(.*)"$', training, re.MULTILINE)[1]
