"""Compare the features and verdicts of two stores of the same clips in different precisions.

python benchmarks/precisions.py STORE OTHER [--run RUN]

STORE is the baseline, extracted in float32. Prints the cosine similarity of each evidence block in
all valid frames: their mean, the least, and the least mean of a clip. With --run, the model of a
run that was trained on STORE scores the clips of both. Printed are the largest change of a score
and the clips whose verdict changes, with the distance of the baseline's score from the nearest end
of the abstention band. Most of these clips trained the run: this measures changes, not accuracy.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord, FeatureStore


def main() -> None:
    options = _options()
    with FeatureStore.open(options.store) as store, FeatureStore.open(options.other) as other:
        pairs = [
            (record, other[record.video_id])
            for record in store
            if record.mask.any() and record.video_id in other
        ]
        names = [each.fingerprint.fields["backbone"]["precision"] for each in (store, other)]
    print(f"{len(pairs)} clips, {' and '.join(names)}")
    cosines = defaultdict(list)
    for one, two in pairs:
        for block, values in one.blocks.items():
            cosines[block].append(_cosines(values, two.blocks[block])[one.mask.astype(bool)])
    for block, clips in cosines.items():
        frames = np.concatenate(clips)
        worst = min(clip.mean() for clip in clips)
        print(
            f"  {block:10} cosine {frames.mean():.4f} mean, {frames.min():.4f} least, "
            f"{worst:.4f} least mean of a clip"
        )
    if options.run:
        _compare_verdicts(run.load(options.run), pairs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--run", type=Path)
    return parser.parse_args()


def _cosines(
    one: npt.NDArray[np.floating], two: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    one, two = one.astype(np.float64), two.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return np.asarray((one * two).sum(axis=1) / np.maximum(lengths, 1e-12))


def _compare_verdicts(
    model: SequenceModel, pairs: list[tuple[FeatureRecord, FeatureRecord]]
) -> None:
    low, high = model.decision.band
    largest, changed = 0.0, []
    for records in pairs:
        before, after = (float(model.scores_of(model.arrays_of(each))[0]) for each in records)
        largest = max(largest, abs(after - before))
        verdicts = [
            "real" if score < low else "fake" if score >= high else "inconclusive"
            for score in (before, after)
        ]
        if verdicts[0] != verdicts[1]:
            margin = min(abs(before - low), abs(before - high))
            changed.append((margin, records[0].video_id, before, after, *verdicts))
    print(f"scores change by at most {largest:.4f}; {len(changed)} verdicts change")
    for margin, name, before, after, first, second in sorted(changed):
        print(f"  {name}: {first} {before:.4f}, {second} {after:.4f}; {margin:.4f} from the band")


if __name__ == "__main__":
    main()
