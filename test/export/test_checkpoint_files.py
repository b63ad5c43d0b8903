"""Reading public checkpoints: files, folders, the hub; and one sentence for each that is none."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='checkpoints need torch')

from safetensors.torch import save_file  # noqa: E402

from dense_perception.export.checkpoint_files import read_source  # noqa: E402
from dense_perception.models.checkpoints import CheckpointError  # noqa: E402

STATE = {'a.weight': torch.arange(600.0).view(20, 30), 'b.bias': torch.ones(5)}


class Malicious:
    """Runs a command where a pickle of it is loaded without care."""

    def __reduce__(self) -> tuple:
        return os.system, ('exit 1',)


def refusal(source: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_source(str(source))
    message = str(caught.value)
    assert '\n' not in message
    return message


def folder(path: Path, **files: dict) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / f'{name}.json').write_text(json.dumps(content))
    return path


def same(state: dict[str, torch.Tensor]) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)


@pytest.mark.parametrize('name', ['a.pt', 'a.pth', 'a.bin', 'a.safetensors'])
def test_files_of_every_kind(tmp_path: Path, name: str):
    path = tmp_path / name
    save_file(STATE, path) if path.suffix == '.safetensors' else torch.save(STATE, path)
    source = read_source(str(path))
    assert same(source.state) and source.name == name and source.config == {}


def test_old_files_and_files_of_trainers(tmp_path: Path):
    torch.save(STATE, tmp_path / 'old.pt', _use_new_zipfile_serialization=False)
    assert same(read_source(str(tmp_path / 'old.pt')).state)
    torch.save({'model': STATE, 'optimizer': {}, 'epoch': 3}, tmp_path / 'trainer.pth')
    assert same(read_source(str(tmp_path / 'trainer.pth')).state)


def test_a_hugging_face_folder(tmp_path: Path):
    path = folder(tmp_path / 'Model-hf', config={'model_type': 'dpt'},
                  preprocessor_config={'size': 384})
    save_file(STATE, path / 'model.safetensors')
    (path / 'README.md').write_text('---\ntags:\n- depth\nlicense: apache-2.0\n---\n# Model\n')
    source = read_source(str(path))
    assert same(source.state) and source.name == 'Model-hf'
    assert source.config == {'model_type': 'dpt'} and source.preprocessor == {'size': 384}
    assert source.licence == 'apache-2.0'


def test_a_folder_in_shards(tmp_path: Path):
    keys = {key: f'model-0000{i}-of-00002.safetensors' for i, key in enumerate(STATE)}
    path = folder(tmp_path / 'sharded', config={}, **{
        'model.safetensors.index': {'weight_map': keys}})
    for key, file in keys.items():
        save_file({key: STATE[key]}, path / file)
    assert same(read_source(str(path)).state)
    (path / keys['b.bias']).unlink()
    assert f'lacks {keys["b.bias"]} of the 2 files' in refusal(path)
    (path / 'model.safetensors.index.json').write_text('{"weight_map": {"a": "../a.bin"}}')
    assert 'lacks ../a.bin' in refusal(path)
    (path / 'model.safetensors.index.json').write_text('{}')
    assert 'no "weight_map"' in refusal(path)


def test_a_folder_with_one_file_of_pytorch(tmp_path: Path):
    path = folder(tmp_path / 'Official')
    torch.save(STATE, path / 'official_vits.pth')
    assert read_source(str(path)).name == 'Official/official_vits.pth'
    torch.save(STATE, path / 'official_vitb.pth')
    assert 'official_vitb.pth, official_vits.pth); name the file' in refusal(path)


def test_folders_that_lack_something(tmp_path: Path):
    path = folder(tmp_path / 'bare')
    assert 'it has nothing' in refusal(path)
    save_file(STATE, path / 'model.safetensors')
    assert 'no config.json' in refusal(path) and 'whole folder' in refusal(path)
    (path / 'config.json').write_text('{"a": ')
    assert 'config.json is not valid JSON' in refusal(path)
    (path / 'config.json').write_text('[]')
    assert 'config.json is not a JSON object' in refusal(path)


@pytest.mark.parametrize('make', [pickle.dumps, torch.save], ids=['pickle', 'torch'])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, make):
    path = tmp_path / 'malicious.pt'
    content = {'a': torch.zeros(1), 'b': Malicious()}
    if make is torch.save:
        torch.save(content, path)
        assert 'would run posix.system' in refusal(path)
    else:
        path.write_bytes(pickle.dumps(content))
        assert 'a pickle that would run code' in refusal(path)


def test_a_whole_model_is_no_state_dict(tmp_path: Path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / 'model.pt')
    assert 'save its state_dict alone' in refusal(tmp_path / 'model.pt')
    torch.save([1, 2], tmp_path / 'list.pt')
    assert 'holds a list, not a state dict' in refusal(tmp_path / 'list.pt')
    torch.save({'epoch': 3}, tmp_path / 'epoch.pt')
    assert 'no state dict' in refusal(tmp_path / 'epoch.pt')


@pytest.mark.parametrize('name', ['new.pt', 'old.pt', 'a.safetensors'])
@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.95])
def test_truncated_files_are_called_incomplete(tmp_path: Path, name: str, share: float):
    path = tmp_path / name
    if path.suffix == '.safetensors':
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=name == 'new.pt')
    data = path.read_bytes()
    path.write_bytes(data[:int(share * len(data))])
    assert 'is not a complete' in refusal(path) and 'again' in refusal(path)


def test_other_things_are_named(tmp_path: Path):
    path = tmp_path / 'weights.pth'
    path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')
    assert 'git lfs pull' in refusal(path)
    path.write_text('<html>404</html>')
    assert 'it begins like none' in refusal(path)
    other = tmp_path / 'weights.h5'
    other.write_bytes(b'')
    assert 'no checkpoint by its name; give a .safetensors' in refusal(other)
    assert 'there is no file or folder' in refusal(tmp_path / 'absent.pt')


def test_a_name_on_the_hub_without_the_hub(monkeypatch: pytest.MonkeyPatch):
    hub = pytest.importorskip('huggingface_hub', reason='the hub needs huggingface_hub')
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    message = refusal('Nobody/no-such-model')
    assert 'no file or folder here, and could not be fetched from the hub' in message


def test_a_repository_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hub = pytest.importorskip('huggingface_hub', reason='the hub needs huggingface_hub')
    commit = 'd' * 40
    repository = tmp_path / 'models--Some--Model-hf'
    snapshot = repository / 'snapshots' / commit
    snapshot.parent.mkdir(parents=True)
    folder(snapshot, config={'model_type': 'dpt'})
    (repository / 'refs').mkdir()
    (repository / 'refs' / 'main').write_text(commit)
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(hub.constants, 'HF_HUB_CACHE', str(tmp_path))
    torch.save(STATE, snapshot / 'pytorch_model.bin')
    assert same(read_source('Some/Model-hf').state)
    save_file(STATE, snapshot / 'model.safetensors')
    source = read_source('Some/Model-hf')
    assert same(source.state) and source.name == 'Some/Model-hf'
    assert source.config == {'model_type': 'dpt'}
