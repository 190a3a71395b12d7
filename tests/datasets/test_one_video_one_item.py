from __future__ import annotations

from pathlib import Path

import pytest
from calling import deepseq
from hypothesis import given
from hypothesis import strategies as st
from trees import by_id

from deepfake_seq.datasets import FAKE, REAL, VideoItem, apply_labels, discover
from deepfake_seq.errors import DatasetError, UsageError
from deepfake_seq.sequence.data.views import is_view
from deepfake_seq.store.record_ids import person_of, record_id, view_id


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_root_given_as_dots_is_labelled_by_its_real_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "real/sub/notes.txt", "real/a.mp4")
    monkeypatch.chdir(tmp_path / "real")
    assert by_id(Path())["a.mp4"].label == REAL
    monkeypatch.chdir(tmp_path / "real" / "sub")
    assert by_id(Path(".."))["a.mp4"].label == REAL


def test_a_csv_path_may_lead_out_of_the_folder_of_the_csv_file(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "labels/x")
    csv_path = tmp_path / "labels" / "labels.csv"
    csv_path.write_text("path,label\n../videos/a.mp4,fake\n")
    (item,), report = apply_labels(discover([tmp_path / "videos"]).items, csv_path)
    assert (item.label, report.unmatched_rows) == (FAKE, ())


def test_a_csv_path_may_begin_with_a_dot(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "labels.csv").write_text("path,label\n./a.mp4,fake\n")
    (item,), report = apply_labels(discover([tmp_path]).items, tmp_path / "labels.csv")
    assert (item.label, report.unmatched_rows) == (FAKE, ())


def test_contradicting_rows_for_the_same_video_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "labels.csv").write_text(f"path,label\na.mp4,fake\n{tmp_path}/a.mp4,real\n")
    with pytest.raises(DatasetError):
        apply_labels(discover([tmp_path]).items, tmp_path / "labels.csv")


def test_a_file_found_under_two_roots_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4")
    assert list(by_id(tmp_path / "real", tmp_path)) == ["real/a.mp4"]


@pytest.mark.parametrize(
    "name", ["a@view1", "a.mp4@view12", "a.mp4@blend1", "a#0", "a.mp4#12", "a#0@view1", "@view1"]
)
def test_a_file_named_like_a_person_or_view_is_refused(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4", f"real/{name}")
    result = deepseq("extract", tmp_path / "real" / name, "--out", tmp_path / "store")
    assert result.exit_code == 2
    line, _ = result.stderr.splitlines()
    assert f"real/{name}: names that end in" in line and "Rename the file" in line
    assert not (tmp_path / "store").exists()
    assert list(by_id(tmp_path)) == ["real/a.mp4"]  # files without a video suffix are skipped


@pytest.mark.parametrize("name", ["a#0.mp4", "a@view1.mp4", "#1/a.mp4", "@view1/a.mp4", "a@home"])
def test_a_file_with_a_similar_but_unambiguous_name_is_accepted(name: str, tmp_path: Path) -> None:
    touch(tmp_path, name)
    (item,) = discover([tmp_path if name.endswith("mp4") else tmp_path / name]).items
    assert item.video_id == name
    for person in (0, 12):
        assert person_of(record_id(name, person)) == f"#{person}"
    assert person_of(name) == "" and not is_view(name, {})


@given(
    st.lists(st.sampled_from(["a", ".mp4", "#", "0", "17", "@view", "@blend", "1", "\n", "/"])),
    st.none() | st.integers(0, 20),
)
def test_an_accepted_name_is_never_taken_for_a_person_or_view(
    parts: list[str], person: int | None
) -> None:
    name = "".join(parts)
    try:
        item = VideoItem(Path("x"), name)
    except UsageError:
        return
    record = record_id(item.video_id, person)
    assert not is_view(record, {}) and is_view(view_id(record, "blend", 3), {})
    assert record.removesuffix(person_of(record)) == item.video_id
