"""What people read: whole, and with links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.source_tree import ROOT

DOCUMENTS = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'),
                    *(ROOT / 'docker').glob('*.md'), *(ROOT / 'training').glob('*.md')])


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_no_document_holds_what_a_merge_left(document: Path) -> None:
    found = re.findall(r'^(?:<{7}|={7}|>{7})(?: .*)?$', document.read_text(), re.MULTILINE)
    assert not found


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    targets = re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', document.read_text())
    missing = [t for t in targets if '://' not in t and not (document.parent / t).exists()]
    assert not missing
