"""``dense-perception models``: lists and descriptions, with and without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.plane_model import plane_card, plane_graph, save_model

from dense_perception.cli.main import main

TINY_PAIR = 'xnet_convnext_tiny_convnext_tiny'
WITHOUT_TORCH = ('import sys; sys.modules["torch"] = None\n'
                 'from dense_perception.cli.main import main; sys.exit(main(sys.argv[1:]))')


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(['models', *arguments]) == 0
    return capsys.readouterr().out


def on_a_robot(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, '-c', WITHOUT_TORCH, 'models', *arguments],
                          capture_output=True, text=True)


def test_the_list_as_json_has_exact_figures(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    found = json.loads(output(capsys, 'list', f'{TINY_PAIR[:-1]}?', '--json'))
    models = {model['name']: model for model in found}
    assert models.keys() == {TINY_PAIR}
    pair = models[TINY_PAIR]
    assert pair['params'] == 66_413_953  # counted from the paper's description with timm
    assert pair['gmacs'] == pytest.approx(12.07, rel=0.01)
    assert (pair['system'], pair['task'], pair['licence']) == ('xnet', 'depth', '')
    assert pair['input']['height'] == 224 and 'Table I' in pair['paper']
    assert pair['model_file'] is None


def test_a_shipped_file_and_its_variant_are_one_object(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    small, int8 = json.loads(output(capsys, 'list', 'xnet_small', '--json'))
    assert small['task'] == int8['task'] == 'depth+segmentation' and small['params'] > 4_000_000
    assert Path(small['model_file']).name == 'xnet_small.onnx'
    assert Path(int8['model_file']).name == 'xnet_small_int8.onnx'


def test_the_plain_list_filters_both_sections(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    everything = output(capsys, 'list')
    assert everything.count('xnet_small') == 3 and TINY_PAIR in everything
    filtered = output(capsys, 'list', 'convnext_tiny_convnext_tiny')
    assert 'xnet_small' not in filtered and TINY_PAIR in filtered
    assert '66,413,953' in filtered and '12.0' in filtered
    assert output(capsys, 'list', 'nothing').count('\n') == 3


def test_info_of_a_file_has_its_card_and_its_costs(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    found = json.loads(output(capsys, 'info', 'xnet_small', '--json'))
    assert found['card']['variant'] == 'xnet_small' and len(found['sha256']) == 64
    assert found['params'] > 4_000_000 and found['gmacs'] == pytest.approx(0.841, abs=0.001)
    text = output(capsys, 'info', 'xnet_small')
    assert 'classes: ground, wall' in text and 'abs_rel' in text


def test_info_of_a_file_with_options_of_another_release(tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]):
    card = plane_card(variant='xnet_small', options={'of_another_release': 1})
    path = save_model(tmp_path / 'other.onnx', plane_graph(64, 80), card.to_json())
    found = json.loads(output(capsys, 'info', str(path), '--json'))
    assert found['card']['options'] == {'of_another_release': 1} and 'params' not in found


def test_info_of_a_variant_has_what_the_registry_says(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    found = json.loads(output(capsys, 'info', TINY_PAIR, '--json'))
    assert found['params'] == 66_413_953 and found['depth_convention'] == 'metric'


def test_an_unknown_name_lists_files_and_near_variants(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    assert main(['models', 'info', 'xnet_convnext_tny']) == 1
    error = capsys.readouterr().err
    assert 'shipped models: xnet_small' in error and TINY_PAIR in error and '\n' not in error[:-1]


def test_a_robot_without_torch_lists_what_it_can_run():
    found = on_a_robot('list')
    assert found.returncode == 0 and 'xnet_small' in found.stdout
    assert 'variants: not listed, torch or timm is not installed' in found.stdout
    small, int8 = json.loads(on_a_robot('list', '--json').stdout)
    assert int8['name'] == 'xnet_small_int8'
    assert small['name'] == 'xnet_small' and small['params'] is None
    info = on_a_robot('info', 'xnet_small', '--json')
    assert json.loads(info.stdout)['card']['name'] == 'xnet_small' and info.stderr == ''
    unknown = on_a_robot('info', 'xnet_large')
    assert unknown.returncode == 1 and 'models extra' in unknown.stderr


def test_looked_up_figures_are_those_of_the_models():
    """All names and parameters; multiply-adds of a few, which take longer to count."""
    pytest.importorskip('torch', reason='variants need torch')
    from dense_perception.cli.models import COUNTED, count
    from dense_perception.models import list_models
    from dense_perception.models.complexity import meta_model
    looked_up = json.loads(COUNTED.read_text())
    hint = 'run scripts/count_variants.py'
    assert sorted(looked_up) == list_models(), hint
    for name, costs in looked_up.items():
        assert costs['params'] == sum(p.numel() for p in meta_model(name).parameters()), hint
    for name in ('xnet_small', 'dpt_base', 'depth_anything_v2_small', 'xnet_ladder_fpn'):
        assert looked_up[name] == count(name), hint
