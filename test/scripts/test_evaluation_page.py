"""docs/evaluation.md is what its generator makes of the results that are kept beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from helpers.source_tree import ROOT

sys.path.insert(0, str(ROOT / 'scripts'))
import evaluation_page as pages

from dense_perception.inference.model_file import ModelFile


def test_the_page_is_what_the_results_say():
    assert pages.PAGE.read_text() == pages.page(pages.TEMPLATE.read_text()), (
        'run "python scripts/evaluation_page.py"')


def test_results_are_those_of_the_model_in_the_package():
    kept = json.loads((pages.RESULTS / 'held_out.json').read_text())
    assert kept == ModelFile.open(pages.MODEL).card.metrics


def test_values_are_found_by_name_even_with_dots_in_it(tmp_path: Path):
    (tmp_path / 'a.json').write_text(json.dumps({'b c': {'0.5': {'d': 0.25}, '0': {'d': 3}}}))
    text = pages.page('x {a b c.0.5.d} y {a b c.0.d} { no value }', tmp_path)
    assert text.endswith('x 0.250 y 3 { no value }')


@pytest.mark.parametrize(('template', 'message'), [
    ('{a b.d}', 'no value "b.d"'), ('{other b}', 'other.json is missing')])
def test_what_is_missing_is_said(tmp_path: Path, template: str, message: str):
    (tmp_path / 'a.json').write_text('{"b": {"c": 1}}')
    with pytest.raises(pages.PageError, match=message):
        pages.page(template, tmp_path)
