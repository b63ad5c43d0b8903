"""Checks that need no graph: model file, backends, shared memory, the DDS profile."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from dense_perception.cli.doctoring.findings import Finding, fail, ok, warn
from dense_perception.cli.sample_inputs import sample_inputs
from dense_perception.inference.backends import (
    BACKENDS,
    Backend,
    BackendError,
    BackendOptions,
    open_backend,
)
from dense_perception.inference.backends.base import EngineMissing
from dense_perception.inference.model_file import ModelFile, ModelFileError
from dense_perception.ros import dds

_DEFAULT_SEGMENT = 512 * 2 ** 10
_NODES = 3
"""Processes with a segment each: camera, perception, a consumer."""


def open_model(model: str) -> ModelFile | None:
    """A model file; None if it cannot be used."""
    try:
        return ModelFile.open(model)
    except ModelFileError:
        return None


def check_model(model: str, backend: str) -> list[Finding]:
    """The model file, its card, and what can run it here.

    :param backend: value of the parameter ``backend``.
    """
    try:
        found = ModelFile.open(model)
    except ModelFileError as error:
        return [fail('model', str(error), '"dense-perception models list" names the shipped ones')]
    card = found.card
    metric = 'metres' if card.depth_convention == 'metric' else 'relative depth'
    gives = ', '.join(metric if name == 'depth' else name for name in card.outputs)
    needs = ', needs the mount of the camera for it' if card.takes_mount else ''
    return [ok('model', f'{card.name}: {gives}{needs} at {card.input_width}x{card.input_height}, '
               f'{len(card.classes)} classes ({found.path})'), *check_backends(found, backend)]


def check_backends(model: ModelFile, wanted: str) -> list[Finding]:
    """Which backends can run the model here; nothing is built, which could take an hour.

    :param wanted: value of the parameter ``backend``.
    """
    usable: dict[str, float] = {}
    not_usable: dict[str, str] = {}
    for name in BACKENDS if wanted == 'auto' else (wanted,):
        try:
            usable[name] = _milliseconds(model, open_backend(name, model, BackendOptions()))
        except EngineMissing as missing:
            not_usable[name] = f'its engine is still to be built ({missing})'
        except BackendError as error:
            not_usable[name] = str(error)
    why = '; '.join(f'{name}: {reason}' for name, reason in not_usable.items())
    if not usable:
        return [fail('backend', why, 'backend: auto takes any that works')]
    found = ', '.join(f'{name} ({ms:.0f} ms a frame)' for name, ms in usable.items())
    return [ok('backend', found + (f'; not {why}' if why else ''))]


def check_profile(environment: Mapping[str, str], rmw: str) -> list[Finding]:
    """The Fast DDS profile that nodes started from this shell read.

    :param environment: as it was before this process changed it.
    :param rmw: identifier of the RMW implementation.
    """
    if rmw != 'rmw_fastrtps_cpp':
        return [warn('DDS', f'the RMW implementation is {rmw}: the shipped profile is for '
                     'rmw_fastrtps_cpp', 'see that large messages pass between its processes')]
    advice = f'export {dds.PROFILE_VARIABLE}={dds.PROFILE}'
    chosen = environment.get(dds.PROFILE_VARIABLE)
    if not chosen:
        return [warn('DDS', f'{dds.PROFILE_VARIABLE} is not set: our nodes set it themselves, '
                     'but other nodes started from this shell lose large best-effort messages',
                     advice)]
    try:
        segment = segment_bytes(Path(chosen))
    except (OSError, ElementTree.ParseError, ValueError) as error:
        return [fail('DDS', f'{dds.PROFILE_VARIABLE} is {chosen}, which cannot be read: {error}',
                     advice)]
    if segment < dds.SEGMENT_BYTES:
        return [warn('DDS', f'the shared-memory segment of {chosen} is {segment >> 10} KiB: '
                     'larger best-effort messages get lost', advice)]
    return [ok('DDS', f'{rmw}, shared-memory segment of {segment >> 20} MB ({chosen})')]


def segment_bytes(profile: Path) -> int:
    """Size of the shared-memory segment in a Fast DDS profile file.

    :raises OSError: no such file. :raises ParseError: no XML. :raises ValueError: no number.
    """
    sizes = [int(element.text or '') for element in ElementTree.parse(profile).iter()
             if element.tag.rpartition('}')[2] == 'segment_size']
    return max(sizes, default=_DEFAULT_SEGMENT)


def check_shared_memory(folder: Path = Path('/dev/shm')) -> list[Finding]:
    """Room for the segments of a few processes."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return [fail('shared memory', f'{folder} cannot be used: {error.strerror}',
                     'mount a tmpfs there; Fast DDS falls back to slow UDP')]
    text = f'{folder} has {usage.free >> 20} of {usage.total >> 20} MB free'
    advice = 'docker run --shm-size=256m (or --ipc=host); remove segments of ended processes ' \
             'with "fastdds shm clean"'
    if usage.free < dds.SEGMENT_BYTES:
        return [fail('shared memory', f'{text}: not even one segment fits', advice)]
    if usage.free < _NODES * dds.SEGMENT_BYTES:
        return [warn('shared memory', f'{text}: room for '
                     f'{usage.free // dds.SEGMENT_BYTES} processes', advice)]
    return [ok('shared memory', text)]


def environment_finding(environment: Mapping[str, str]) -> Finding:
    """Where in the network this shell looks for nodes."""
    names = ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS',
             'ROS_LOCALHOST_ONLY', 'ROS_DISCOVERY_SERVER')
    found = ', '.join(f'{n}={environment[n]}' for n in names if environment.get(n))
    return ok('network', found or 'domain 0, the whole subnet (nothing is set)')


def _milliseconds(model: ModelFile, backend: Backend) -> float:
    """Median of a few frames, after one that pays for the start."""
    inputs = sample_inputs(model.card)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        backend.run(inputs)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[1:]))
