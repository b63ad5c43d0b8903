"""Count parameters and GMACs of every variant for ``dense-perception models list --json``.

python scripts/count_variants.py    # writes dense_perception/assets/variants.json
"""

from __future__ import annotations

import json

from tqdm import tqdm

from dense_perception.cli.models import COUNTED, count
from dense_perception.models import list_models


def main() -> None:
    """Count and write."""
    found = {name: count(name) for name in tqdm(list_models(), unit='variant')}
    lines = ',\n'.join(f'{json.dumps(name)}: {json.dumps(costs)}' for name, costs in found.items())
    partial = COUNTED.with_suffix('.partial')
    partial.write_text(f'{{\n{lines}\n}}\n', encoding='utf-8')
    partial.replace(COUNTED)


if __name__ == '__main__':
    main()
