"""Evidence blocks from `extract` to `predict`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from calling import deepseq
from clips import write_noise

from deepfake_seq.store import FeatureStore

pytestmark = pytest.mark.usefixtures("tiny_cnn")

EXTRACT = ["--detector", "none", "--weights", "untrained", "--frames", 8, "--workers", 1]
STANDARD = ["depths", "regions", "residual"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("videos"), clips=12)


@pytest.fixture(scope="module")
def extracted(videos: Path, tmp_path_factory: pytest.TempPathFactory, tiny_cnn: None) -> Path:
    """A store with the standard evidence, and its face cache."""
    store = tmp_path_factory.mktemp("standard") / "features"
    result = deepseq("extract", videos, "--out", store, "--keep-faces", *EXTRACT)
    assert result.exit_code == 0, result.stderr
    return store


def same_blocks(one: FeatureStore, other: FeatureStore) -> bool:
    return all(
        record.blocks.keys() == other[record.video_id].blocks.keys()
        and all(
            np.array_equal(block, other[record.video_id].blocks[name])
            for name, block in record.blocks.items()
        )
        for record in one
    )


def test_the_standard_evidence_is_stored_by_default(extracted: Path) -> None:
    for record in FeatureStore.open(extracted):
        assert sorted(record.evidence) == STANDARD
        assert sorted(record.facts["evidence"]) == STANDARD
        assert record.facts["fixed_regions"], "there are no landmarks without a detector"
        assert not any(block[record.frames_valid :].any() for block in record.evidence.values())


@pytest.mark.slow
def test_the_features_are_the_same_with_and_without_evidence(
    videos: Path, extracted: Path, tmp_path: Path
) -> None:
    deepseq("extract", videos, "--out", tmp_path / "s", "--evidence", "features", *EXTRACT)
    alone, beside = FeatureStore.open(tmp_path / "s"), FeatureStore.open(extracted)
    assert alone.fingerprint.id == beside.fingerprint.id
    for record in alone:
        assert not record.evidence
        np.testing.assert_array_equal(record.features, beside[record.video_id].features)


def test_evidence_from_cached_faces_equals_evidence_from_the_videos(
    extracted: Path, tmp_path: Path
) -> None:
    result = deepseq(
        "extract", "--from-faces", extracted, "--out", tmp_path / "s", "--weights", "untrained"
    )
    assert result.exit_code == 0, result.stderr
    assert same_blocks(FeatureStore.open(extracted), FeatureStore.open(tmp_path / "s"))


def test_a_block_requested_later_is_added_to_the_others(extracted: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    from_faces = ["extract", "--from-faces", extracted, "--out", store, "--weights", "untrained"]
    deepseq(*from_faces, "--evidence", "features,ela")
    before = {record.video_id: record for record in FeatureStore.open(store)}
    assert {tuple(record.evidence) for record in before.values()} == {("ela",)}
    result = deepseq(*from_faces, "--json")
    assert json.loads(result.stdout)["ok"] == 12
    for record in FeatureStore.open(store):
        assert sorted(record.evidence) == sorted([*STANDARD, "ela"])
        earlier = before[record.video_id]
        np.testing.assert_array_equal(record.evidence["ela"], earlier.evidence["ela"])
        np.testing.assert_array_equal(record.features, earlier.features)
    again = deepseq(*from_faces, "--evidence", "features,depths", "--json")
    assert json.loads(again.stdout)["skipped"] == 12


def test_an_unknown_block_is_refused(videos: Path, tmp_path: Path) -> None:
    result = deepseq("extract", videos, "--out", tmp_path / "s", "--evidence", "noise", *EXTRACT)
    assert result.exit_code == 2
    assert "--evidence must be one of features, depths, regions" in result.stderr


@pytest.mark.parametrize("evidence", [None, "features", "features,residual"])
def test_a_run_predicts_with_the_blocks_it_was_trained_on(
    videos: Path, extracted: Path, tmp_path: Path, evidence: str | None
) -> None:
    run = tmp_path / "run"
    options = ["--evidence", evidence] if evidence else []
    fitted = deepseq(
        "fit", "--features", extracted, "--out", run, *options,
        "--model", "logistic", "--members", 1, "--json",
    )  # fmt: skip
    assert fitted.exit_code == 0, fitted.stderr
    description = json.loads((run / "model.json").read_text())
    expected = evidence.split(",") if evidence else ["features", *STANDARD]
    assert list(description["input"]["blocks"]) == expected
    assert list(description["evidence"]) == expected[1:]
    result = deepseq("predict", videos / "real" / "0.mp4", "--run", run, "--json")
    (verdict,) = json.loads(result.stdout)
    assert verdict["frames_used"] == 8, result.stderr
