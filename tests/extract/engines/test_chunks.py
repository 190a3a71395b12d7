"""Chunks of videos: each video is extracted or given up once, whichever processes die."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.engines.chunks import MAX_FAILURES, Chunk, ChunkQueue
from deepfake_seq.extract.resume import PendingVideo


def videos(count: int) -> list[PendingVideo]:
    return [PendingVideo(VideoItem(Path(f"{n}.mp4"), f"{n}.mp4"), 0) for n in range(count)]


def queue_of(count: int, smallest: int = 1, largest: int = 64) -> ChunkQueue:
    queue = ChunkQueue(smallest, largest)
    queue.add(videos(count))
    return queue


def sizes(queue: ChunkQueue, processes: int) -> list[int]:
    taken = []
    while queue.waiting:
        taken.append(len(queue.take(processes).videos))
    return taken


def work(
    queue: ChunkQueue, chunk: Chunk, deadly: set[str]
) -> tuple[list[str], PendingVideo | None]:
    """Extract a chunk in order, in a process that is killed by some videos.

    Returns:
        The videos that were extracted, and the one that was given up.
    """
    done = []
    for video_id in list(chunk.videos):
        if video_id in deadly:
            return done, queue.fail(chunk)
        del chunk.videos[video_id]
        done.append(video_id)
    return done, None


@given(
    count=st.integers(0, 200),
    processes=st.integers(1, 5),
    deadly=st.sets(st.integers(0, 200), max_size=5),
)
def test_only_videos_that_kill_their_process_are_given_up(
    count: int, processes: int, deadly: set[int]
) -> None:
    queue = queue_of(count)
    outcomes: Counter[str] = Counter()
    given_up = []
    while queue.waiting:
        done, lost = work(queue, queue.take(processes), {f"{n}.mp4" for n in deadly})
        outcomes.update(done)
        given_up += [lost.item.video_id] if lost else []
    assert sorted(given_up) == sorted(f"{n}.mp4" for n in deadly if n < count)
    assert outcomes + Counter(given_up) == Counter(f"{n}.mp4" for n in range(count))


@given(count=st.integers(0, 300), failing=st.lists(st.booleans(), max_size=60))
def test_no_video_is_lost_whichever_chunks_fail(count: int, failing: list[bool]) -> None:
    queue = queue_of(count)
    outcomes: Counter[str] = Counter()
    for fails in (*failing, *[False] * 1000):
        if queue.waiting:
            chunk = queue.take(2)
            given_up = queue.fail(chunk) if fails else None
            if given_up:
                assert len(chunk.videos) == 1 and chunk.failures == MAX_FAILURES
                outcomes[given_up.item.video_id] += 1
            elif not fails:
                outcomes.update(chunk.videos.keys())
    assert outcomes == Counter(f"{n}.mp4" for n in range(count))


def test_a_single_process_gets_the_largest_chunks() -> None:
    assert sizes(queue_of(60), 1) == [60]
    assert sizes(queue_of(150), 1) == [64, 64, 22]


def test_chunks_get_smaller_near_the_end_down_to_the_smallest_size() -> None:
    taken = sizes(queue_of(400, smallest=4), 4)
    assert taken[0] == 58 and taken[-1] <= 4
    assert taken == sorted(taken, reverse=True)
    assert all(size >= 4 for size in taken[:-1])
    assert sum(taken) == 400


def test_a_failed_chunk_is_queued_last_and_split_at_the_second_failure() -> None:
    queue = queue_of(9, largest=4)
    failed = queue.take(1)
    assert queue.fail(failed) is None
    assert list(queue.take(1).videos) == [f"{n}.mp4" for n in (4, 5, 6, 7)]
    assert list(queue.take(1).videos) == ["8.mp4"]
    again = queue.take(1)
    assert list(again.videos) == [f"{n}.mp4" for n in (0, 1, 2, 3)]
    assert queue.fail(again) is None
    assert [list(queue.take(1).videos) for _ in range(2)] == [
        ["0.mp4", "1.mp4"],
        ["2.mp4", "3.mp4"],
    ]


def test_a_process_that_dies_after_its_last_report_loses_no_video() -> None:
    queue = queue_of(2)
    chunk = queue.take(1)
    chunk.videos.clear()
    assert queue.fail(chunk) is None
    assert not queue.waiting
    queue.add(videos(2))
    assert len(queue.take(1).videos) == 2


def test_videos_unreported_by_a_dead_process_are_marked_as_retried() -> None:
    queue = queue_of(3)
    chunk = queue.take(1)
    del chunk.videos["0.mp4"]
    queue.fail(chunk)
    assert [queue.is_retried(f"{n}.mp4") for n in range(3)] == [False, True, True]
