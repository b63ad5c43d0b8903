"""Every attribute of TensorRT that the backend comes to is there, in what is installed here.

``scripts/tensorrt_bindings.py`` does the same for versions that are not.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from helpers import tensorrt_surface


@pytest.mark.parametrize('name', ['tensorrt', 'tensorrt_rtx'])
def test_nothing_that_is_used_is_missing(name: str):
    trt = pytest.importorskip(name, reason=f'{name} is not installed')
    assert tensorrt_surface.missing(trt) == []


def test_the_source_is_read():
    """A variable with another name would otherwise no longer be looked at."""
    named = tensorrt_surface.named()
    assert {path.split('.')[0] for path in named} >= set(tensorrt_surface.CLASSES.values())
    assert set(tensorrt_surface.REACHED) <= named
    assert {'Runtime.deserialize_cuda_engine', 'BuilderFlag.TF32'} <= named
    bare = SimpleNamespace(NetworkDefinitionCreationFlag=None, BuilderFlag=None)
    assert 'Runtime.deserialize_cuda_engine' in tensorrt_surface.missing(bare)
