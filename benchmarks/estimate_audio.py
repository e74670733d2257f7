"""Coverage of the intervals of `estimate` over draws of clips, for a run of a real model over simulated recordings.

The recordings' labels stand for what people would annotate. Rows are those of `estimate_coverage.py`. Recordings and
the machine's errors stay the same, the clips are drawn again and again.

    babyhubert simulate -o SCENES --recordings 8 --minutes 10 --seed 71 --utterances UTTERANCES
    babyhubert segment SCENES/audio -o OUT
    python benchmarks/estimate_audio.py OUT SCENES/rttm --draws 200
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.evaluation.estimate_report import estimate_all
from babyhubert.measures.results import read_results
from estimate_coverage import METHODS, Found, amounts_of, drawn, measured, table, tabulate, total_of
from results import write_results
from simulated_days import Day


def main() -> None:
    """Run the study, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="output folder of 'babyhubert segment'")
    parser.add_argument("reference", type=Path, help="folder of the recordings' labels")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--length", type=int, default=15, help="length of a clip in seconds")
    parser.add_argument("--clips", type=int, nargs="*", default=[4, 8], help="clips of each recording")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    results, truth = read_results(options.run), read_annotations(options.reference)
    found = [results.read(name) for name in results.audio]
    days = [Day(truth.get(one.recording_id, Segments.empty()), one.segments) for one in found]
    length = 1000 * options.length
    data = measured(days, min(one.samples for one in found), {length})
    rng, kept = np.random.default_rng(options.seed), dict[tuple[str, int], list[Found]]()
    for _ in range(options.draws):
        for each in options.clips:
            for method in METHODS:
                clips = drawn(method, data, each, length, rng)
                report = estimate_all(amounts_of(data, clips[0], length, clips))
                minutes = each * len(days) * options.length // 60
                kept.setdefault((method, minutes), []).append(total_of(report, data.truth.sum(axis=0)))
    rows = list(tabulate(len(days), options.draws, kept))
    print("\n".join(table(rows)))
    write_results(options, rows)


if __name__ == "__main__":
    main()
