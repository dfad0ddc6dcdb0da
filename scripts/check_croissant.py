"""What mlcroissant makes of an export's metadata: `check_croissant.py FOLDER`.

scripts/check-croissant calls it in an environment of mlcroissant's.
"""

import json
import sys
from pathlib import Path

import mlcroissant  # pyright: ignore[reportMissingImports]


def main(folder: Path) -> None:
    """Validate the metadata and compare its records with the lists."""
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    print(issues.report())
    assert not issues.errors, "the metadata has errors"
    for records in dataset.metadata.record_sets:
        lines = (folder / records.id / "metadata.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        found = [*dataset.records(record_set=records.id)]
        assert len(found) == len(rows), f"{len(found)} records, {len(rows)} lines"
        for record, row in zip(found, rows, strict=True):
            for key, value in record.items():
                plain = value.decode() if isinstance(value, bytes) else value
                assert plain == row[key.partition("/")[2]], (key, plain)
        print(f"{records.id}: {len(found)} records as in metadata.jsonl")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
