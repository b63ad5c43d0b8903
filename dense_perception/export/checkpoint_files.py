"""Public checkpoints as they lie around: a file, a Hugging Face folder, a name on the hub.

Only tensors are read. A pickle that would run code is refused (``weights_only``).
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dense_perception.models.checkpoints import CheckpointError, unwrap

PICKLES = ('.pt', '.pth', '.bin', '.ckpt')
SAFETENSORS = '.safetensors'
CONFIG, PREPROCESSOR, README = 'config.json', 'preprocessor_config.json', 'README.md'

# In the order in which Hugging Face prefers them; an index names the files of a sharded one.
_FOLDER_WEIGHTS = ('model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin',
                   'pytorch_model.bin.index.json')
_PIPELINE = 'model_index.json'
_PARTS = ('unet', 'vae')
_PART_WEIGHTS = tuple(f'diffusion_pytorch_model{end}' for end in (
    '.safetensors', '.safetensors.index.json', '.bin'))
_HUB_NAME = re.compile(r'[\w-][\w.-]*/[\w-][\w.-]*')
_POINTER = b'version https://git-lfs'
_HOW = ('give a .safetensors, .pt, .pth or .bin file, a Hugging Face folder (config.json and '
        'model.safetensors, or model_index.json and its parts), or a name on the hub such as '
        'Intel/dpt-large')


@dataclass(frozen=True)
class Source:
    """A checkpoint that was read.

    ``name``: of the file, the folder or the repository. ``config``, ``preprocessor``: of Hugging
    Face, empty without. ``licence``: as its README states it, else empty. ``folder``: where it
    lies, None for a file. Of a diffusers pipeline ``state`` has U-Net and autoencoder, their keys
    behind ``unet.`` and ``vae.``, and ``config`` the configuration of each part by its name.
    """

    name: str
    state: dict[str, torch.Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ''
    folder: Path | None = None


def read_source(text: str) -> Source:
    """Read a checkpoint from a file, a folder or the hub.

    :raises CheckpointError: it cannot be found, read or trusted; the message says what would be
        right.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        return _read_folder(path, path.resolve().name)
    if path.is_file():
        return Source(path.name, read_state(path))
    if _HUB_NAME.fullmatch(text):
        return _read_folder(_download(text), text)
    raise CheckpointError(f'there is no file or folder "{text}"; {_HOW}')


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file.

    :raises CheckpointError: see :func:`read_source`.
    """
    if path.suffix not in (SAFETENSORS, *PICKLES):
        raise CheckpointError(f'{path} is no checkpoint by its name; {_HOW}')
    try:
        with path.open('rb') as file:
            pointer = file.read(len(_POINTER)) == _POINTER
    except OSError as error:
        raise CheckpointError(f'cannot read {path}: {error.strerror}') from None
    if pointer:
        raise CheckpointError(f'{path} is a pointer of Git LFS and holds no weights; fetch them '
                              'with "git lfs pull"')
    return unwrap(_read_safetensors(path) if path.suffix == SAFETENSORS else _read_pickle(path))


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path} is not a complete safetensors file ({error}); copy or '
                              'download it again') from None


def _read_pickle(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of unusual pickles, of which the error speaks
            # Mapped rather than read: conversion then needs the memory of the weights only once.
            loaded = torch.load(path, map_location='cpu', weights_only=True,
                                mmap=zipfile.is_zipfile(path))
    except Exception as error:  # whatever a damaged pickle makes of itself
        raise CheckpointError(_pickle_problem(path, error)) from None
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f'{path} holds a {type(loaded).__name__}, not a state dict')
    return loaded


def _pickle_problem(path: Path, error: Exception) -> str:
    code = re.search(r'GLOBAL ([A-Za-z_][\w.]*\.\w+)', str(error))
    if code:
        return (f'{path} holds more than tensors: loading it would run {code[1]}; take a '
                '.safetensors of it, or save its state_dict alone where you trust it')
    with path.open('rb') as file:
        start = file.read(4)
    if start == b'PK\x03\x04' and not zipfile.is_zipfile(path):
        reason = 'its end is missing'
    elif start[:1] == b'\x80':
        reason = 'its end is missing, or it is a pickle that would run code'
    else:
        reason = 'it begins like none'
    return f'{path} is not a complete PyTorch file ({reason}); copy or download it again'


def _read_folder(folder: Path, name: str) -> Source:
    """A Hugging Face folder, or one with a single file of PyTorch's."""
    if (folder / _PIPELINE).is_file():
        return _read_pipeline(folder, name)
    weights = next((folder / file for file in _FOLDER_WEIGHTS if (folder / file).is_file()), None)
    if weights is None:
        files = [file for file in sorted(folder.iterdir())
                 if file.suffix in PICKLES and file.is_file()]
        if len(files) != 1:
            found = ', '.join(file.name for file in sorted(folder.iterdir())[:6]) or 'nothing'
            raise CheckpointError(f'{folder} has none of {", ".join(_FOLDER_WEIGHTS)} and not '
                                  f'just one PyTorch file (it has {found}); name the file')
        return Source(f'{name}/{files[0].name}', read_state(files[0]), licence=_licence(folder),
                      folder=folder)
    state, config = _read_part(folder, weights)
    preprocessor = folder / PREPROCESSOR
    return Source(name, state, config, _json(preprocessor) if preprocessor.is_file() else {},
                  _licence(folder), folder)


def _read_part(folder: Path, weights: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f'{folder} has {weights.name} but no {CONFIG}, which tells what the '
                              'weights are of; copy the whole folder from the hub')
    state = _read_shards(folder, weights) if weights.suffix == '.json' else read_state(weights)
    return state, _json(folder / CONFIG)


def _read_pipeline(folder: Path, name: str) -> Source:
    """A folder of diffusers with U-Net and autoencoder, such as Stable Diffusion's."""
    state: dict[str, torch.Tensor] = {}
    configs = {path.parent.name: _json(path) for path in sorted(folder.glob(f'*/{CONFIG}'))}
    for part in _PARTS:
        files = [folder / part / file for file in _PART_WEIGHTS]
        weights = next((file for file in files if file.is_file()), None)
        if weights is None:
            raise CheckpointError(f'{folder} is a folder of diffusers without {part}/'
                                  f'{_PART_WEIGHTS[0]}; copy the whole folder from the hub')
        found, configs[part] = _read_part(folder / part, weights)
        state |= {f'{part}.{key}': value for key, value in found.items()}
    return Source(name, state, configs, {}, _licence(folder), folder)


def _read_shards(folder: Path, index: Path) -> dict[str, torch.Tensor]:
    keys = _json(index).get('weight_map')
    if not isinstance(keys, Mapping) or not keys:
        raise CheckpointError(f'{index} has no "weight_map" from tensors to files')
    files = sorted(set(keys.values()))
    if missing := [file for file in files
                   if Path(file).name != file or not (folder / file).is_file()]:
        raise CheckpointError(f'{folder} lacks {", ".join(missing)} of the {len(files)} files '
                              f'that {index.name} names; copy the whole folder')
    state: dict[str, torch.Tensor] = {}
    for file in files:
        state |= read_state(folder / file)
    return state


def _download(name: str) -> Path:
    """The folder of a hub repository, from the local cache where it is there."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ModuleNotFoundError:
        raise CheckpointError(f'"{name}" is no file or folder here; to look for it on the hub '
                              'needs "pip install huggingface_hub"') from None
    try:
        # Repositories have the weights twice; the pickles are fetched where there is no other.
        for endings in ((SAFETENSORS,), PICKLES):
            folder = Path(snapshot_download(
                name, allow_patterns=['*.json', README, *(f'*{end}' for end in endings)],
                ignore_patterns=['*/*']))  # other formats lie in folders
            if any(folder.glob(f'*{SAFETENSORS}')):
                break
            if (folder / _PIPELINE).is_file():
                return _download_pipeline(name)
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = str(error).strip().replace('\n', ' ')
        raise CheckpointError(f'"{name}" is no file or folder here, and could not be fetched from '
                              f'the hub: {reason}') from None
    return folder


def _download_pipeline(name: str) -> Path:
    """The parts of a diffusers repository that are read: weights in one format, texts in full."""
    from huggingface_hub import snapshot_download
    wanted = [f'{part}/{file}' for part in (*_PARTS, 'text_encoder')
              for file in (CONFIG, f'*{SAFETENSORS}', f'*{SAFETENSORS}.index.json')]
    return Path(snapshot_download(name, allow_patterns=[_PIPELINE, README, 'tokenizer/*', *wanted],
                                  ignore_patterns=['*.fp16.*', '*non_ema*']))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise CheckpointError(f'{path} is not valid JSON ({error})') from None
    if not isinstance(found, dict):
        raise CheckpointError(f'{path} is not a JSON object')
    return found


def _licence(folder: Path) -> str:
    """``license`` in the front matter of the README, as the hub keeps it."""
    try:
        lines: Iterable[str] = (folder / README).read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError):
        return ''
    front = re.match(r'---\n(.*?)\n---', '\n'.join(lines), re.DOTALL)
    found = front and re.search(r'^license: *["\']?([\w.+-]+)', front[1], re.MULTILINE)
    return found[1] if found else ''
