"""Link the utterances of a table into a folder a voice, for windows in which a voice sounds alone.

    python playroom_voices.py people.csv -o voices --voices MAL FEM --without playroom-dev-speakers.csv

makes voices/MAL and voices/FEM, without the speakers of the given tables (column `speaker_id`).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np


def main() -> None:
    """Read the tables and make the links."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utterances", type=Path, help="table with utterance_id, path, speaker_id and voice")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to make")
    parser.add_argument("--voices", nargs="+", required=True, help="voices to link")
    parser.add_argument("--without", type=Path, action="append", default=[], help="table of speakers to leave out")
    parser.add_argument("--most", type=int, help="utterances of a voice to link, drawn at random; all without it")
    options = parser.parse_args()
    left_out = {row["speaker_id"] for path in options.without for row in rows_of(path)}
    rows = [row for row in rows_of(options.utterances) if row["speaker_id"] not in left_out]
    for voice in options.voices:
        (options.output / voice).mkdir(parents=True, exist_ok=True)
        found = [row for row in rows if row["voice"] == voice]
        for index in np.random.default_rng(9).permutation(len(found))[: options.most]:
            row = found[index]
            recording = (options.utterances.parent / row["path"]).resolve()
            link = options.output / voice / f"{row['utterance_id']}{recording.suffix}"
            link.unlink(missing_ok=True)
            link.symlink_to(recording)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
