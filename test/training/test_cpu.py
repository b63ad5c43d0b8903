"""What makes training cheap on a CPU changes nothing of what is computed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from dense_perception_training import cpu
from torch import nn

from dense_perception.inference.backends import base
from dense_perception.models import create_model


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8, padding=1),
                         nn.Conv2d(8, 4, 3, groups=4), nn.Conv2d(4, 1, 1))


def test_prepared_model_computes_the_same_with_the_same_weights():
    model = create_model('xnet_small', pretrained=False).eval()
    x = torch.rand(1, 5, 64, 96)
    before, names = model(x), list(model.state_dict())
    cpu.prepare_model(model)
    after = model(x)
    assert list(model.state_dict()) == names
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-4)


def test_only_depthwise_convolutions_stay_in_float32_under_autocast():
    net = _net()
    cpu.prepare_model(net)
    assert [type(m) is cpu.Float32Conv2d for m in net] == [False, True, False, False]
    x = torch.rand(2, 3, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        types = [(x := layer(x)).dtype for layer in net]
    assert types == [torch.bfloat16, torch.float32, torch.bfloat16, torch.bfloat16]


def test_weights_and_activations_are_channels_last():
    net = _net()
    cpu.prepare_model(net)
    assert net[2].weight.is_contiguous(memory_format=torch.channels_last)
    assert net[:3](torch.rand(2, 3, 8, 8)).is_contiguous(memory_format=torch.channels_last)


def test_freed_memory_is_kept():
    # Of a process of its own: the setting holds for the rest of a process's life.
    code = """
import torch
from dense_perception_training import cpu
torch.set_num_threads(1)
def kept():
    def resident():
        return int(open('/proc/self/statm').read().split()[1]) * 4096
    before = resident()
    torch.ones(32 << 20)  # 128 MiB, freed at once
    return resident() - before
before = kept()
cpu.keep_freed_memory()
print(before, kept())
"""
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            check=True)
    before, after = map(int, result.stdout.split())
    assert before < 64 << 20
    assert after > 120 << 20


def test_bfloat16_only_where_the_processor_is_faster_in_it(monkeypatch, capsys):
    monkeypatch.setattr(cpu, 'has_fast_bfloat16', lambda: False)
    assert cpu.precision_for('bf16-mixed') == '32-true'
    assert 'no AMX' in capsys.readouterr().out
    assert cpu.precision_for('16-mixed') == '16-mixed'
    monkeypatch.setattr(cpu, 'has_fast_bfloat16', lambda: True)
    assert cpu.precision_for('bf16-mixed') == 'bf16-mixed'
    assert not capsys.readouterr().out


@pytest.mark.parametrize(('flags', 'fast'), [
    ('flags : avx2 fma', False), ('flags : avx512f avx512_bf16', False),
    ('flags : avx512f avx512_bf16 amx_bf16 amx_tile', True)])
def test_bfloat16_is_fast_with_amx_only(monkeypatch, tmp_path, flags, fast):
    (tmp_path / 'cpuinfo').write_text(flags)
    monkeypatch.setattr(base, 'CPU_INFO', tmp_path / 'cpuinfo')
    assert cpu.has_fast_bfloat16() is fast


def test_muon_in_float32(monkeypatch):
    from timm.optim import muon as module
    monkeypatch.setattr(module, 'zeropower_via_newtonschulz', module.zeropower_via_newtonschulz)
    gradient = torch.randn(8, 16)
    steps = []
    for prepare in (lambda: None, cpu.orthogonalise_in_float32):
        prepare()
        weight = torch.nn.Parameter(torch.zeros(8, 16))
        weight.grad = gradient.clone()
        module.Muon([weight], lr=1.0, weight_decay=0.0).step()
        steps.append(weight.detach())
    assert not torch.equal(steps[1], steps[1].bfloat16().float())
    torch.testing.assert_close(steps[1], steps[0], rtol=0, atol=0.05)
