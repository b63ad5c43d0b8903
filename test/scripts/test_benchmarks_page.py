"""docs/benchmarks.md is what its generator makes of the results that are kept beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from helpers.source_tree import ROOT

sys.path.insert(0, str(ROOT / 'scripts'))
import benchmarks_page as pages

COLUMNS = '```benchmark\npipeline --rate 1\npipeline --rate 2\n= fps: fps | p50: age_ms.p50\n```'


def keep(folder: Path, command: str, **result: object) -> None:
    pages.result_file(command, folder).write_text(json.dumps({
        'command': command, 'date': '2026-01-02', 'load': [0.5, 1.5],
        'result': {'hardware': 'an abacus'} | result}))


def test_the_page_is_what_the_results_say():
    assert pages.PAGE.read_text() == pages.page(pages.TEMPLATE.read_text()), (
        'run "python scripts/benchmarks_page.py"')


def test_no_result_is_kept_in_vain():
    wanted = {pages.result_file(c) for c in pages.commands(pages.TEMPLATE.read_text())}
    assert set(pages.RESULTS.glob('*.json')) == wanted


def test_runs_become_rows_with_their_circumstances(tmp_path: Path):
    for rate in (1, 2):
        keep(tmp_path, f'pipeline --rate {rate}', fps=rate, age_ms={'p50': 10 * rate})
    text = pages.page(f'Before.\n\n{COLUMNS}\n\nAfter.', tmp_path)
    assert '| fps | p50 |\n|---|---|\n| 1 | 10 |\n| 2 | 20 |\n' in text
    assert '2026-01-02, an abacus; load average before and after 0.5 to 1.5.' in text
    assert text.count('dense-perception benchmark pipeline --rate') == 2
    assert 'Before.' in text and text.endswith('After.')


def test_a_run_without_columns_is_shown_as_its_command_shows_it(tmp_path: Path):
    keep(tmp_path, 'startup', model='xnet', backend='abacus', starts=3, cpu_s=1,
         first_frame_s={'min': 1, 'p50': 2, 'max': 3})
    assert '| median | 2 |' in pages.page('```benchmark\nstartup\n```', tmp_path)


def test_what_is_missing_is_named(tmp_path: Path):
    with pytest.raises(pages.PageError, match='"pipeline --rate 1" was not measured yet'):
        pages.page(COLUMNS, tmp_path)
    for rate in (1, 2):
        keep(tmp_path, f'pipeline --rate {rate}', fps=rate)
    with pytest.raises(pages.PageError, match='no value "age_ms.p50"'):
        pages.page(COLUMNS, tmp_path)
    with pytest.raises(pages.PageError, match='"dense-perception benchmark nothing" failed'):
        pages.measure('nothing', tmp_path)
    assert not list(tmp_path.glob('*nothing*'))


def test_a_result_is_kept_with_day_and_load(tmp_path: Path):
    command = 'rectification --rounds 1 --size 64x48 --network-size 32x24'
    pages.measure(command, tmp_path)
    kept = json.loads(pages.result_file(command, tmp_path).read_text())
    assert kept['result']['results']['dense_perception']['min_ms'] > 0
    assert len(kept['load']) == 2 and kept['date'] and kept['command'] == command
    assert 'Rectified image' in pages.page(f'```benchmark\n{command}\n```', tmp_path)
