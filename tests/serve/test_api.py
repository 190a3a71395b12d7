"""The API as a program uses it, on a server in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import brightness
import pytest
from brightness import BRIGHT, DARK, MIDDLE, write_grey, write_two_people
from children import children_of
from serving import RunningServer, running
from waiting import PATIENCE_SECONDS, until

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.predict import predict

LIMITS = {"upload_bytes": 1_000_000, "clip_seconds": 3.0, "queue": 60}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return brightness.write_run(tmp_path_factory.mktemp("trained") / "runs" / "grey")


@pytest.fixture(scope="module")
def server(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("server"), run, **LIMITS) as server:
        yield server


def clips_in(server: RunningServer) -> list[str]:
    return sorted(path.name for path in server.spool.glob("*.clip"))


def wait_for_marker(server: RunningServer, job: dict[str, Any]) -> None:
    """Wait until a clip marked `kill once` was begun."""
    until((server.spool / f"{job['id']}.tried").exists, "the clip is begun")


def test_a_clip_gets_the_verdict_of_predict(
    server: RunningServer, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brightness.install(monkeypatch)
    clips = [write_grey(tmp_path / f"{level}.mp4", level) for level in (DARK, MIDDLE, BRIGHT)]
    clips.append(write_two_people(tmp_path / "two.mp4"))
    jobs = [server.send(clip, name=clip.name) for clip in clips]
    results = [server.wait(job)["result"] for job in jobs]
    for clip, result, expected in zip(
        clips, results, predict(clips, run, ExecutionConfig(workers=1)), strict=True
    ):
        document = json.loads(json.dumps(asdict(expected)))
        assert result == {**document, "path": clip.name}
    assert [result["verdict"] for result in results] == ["real", "inconclusive", "fake", "fake"]
    people = [(person["verdict"], person["box_xyxy"][0]) for person in results[-1]["people"]]
    assert sorted(people) == [("fake", 192.0), ("real", 16.0)]
    assert clips_in(server) == [], "clips are deleted as soon as they are done"


def test_the_answer_says_where_to_look_and_what_is_going_on(
    server: RunningServer, tmp_path: Path
) -> None:
    content = write_grey(tmp_path / "a.mp4", DARK, "hold").read_bytes()
    response = server.client.post("/v1/clips", content=content, params={"name": "a.mp4"})
    job = response.json()
    assert response.headers["Location"] == f"/v1/clips/{job['id']}"
    assert (job["state"], job["position"], job["name"]) == ("queued", 0, "a.mp4")
    assert job["size_bytes"] == len(content) and job["result"] is None
    running_job = server.wait(job, "running")
    assert running_job["stage"] == "decode"
    server.release(job["id"])
    done = server.wait(job)
    assert (done["state"], done["stage"], done["error"]) == ("done", "", "")
    assert done["created"] < done["finished"]
    assert "does not prove" in done["explanation"][0]


def test_a_clip_has_a_report_to_be_saved(run: Path, tmp_path: Path) -> None:
    clip = write_two_people(tmp_path / "two.mp4", "hold")
    with running(tmp_path, run, maps=1) as server:
        job = server.send(clip, name='an "odd" näme.mp4')
        assert server.client.get(f"/v1/clips/{job['id']}/report").status_code == 404
        server.release(job["id"])
        done = server.wait(job)
        assert done["report"] == f"/v1/clips/{job['id']}/report"
        page = server.client.get(done["report"])
        document = server.client.get(f"{done['report']}.json").json()
        assert server.client.delete(f"/v1/clips/{job['id']}").status_code == 204
        assert server.client.get(done["report"]).status_code == 404
        assert not list(server.spool.glob(f"{job['id']}*"))
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Disposition"] == (
        "attachment; filename=\"report.html\"; filename*=UTF-8''an%20%22odd%22%20n%C3%A4me.mp4.html"
    )
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "an &#34;odd&#34; näme.mp4" in page.text and str(tmp_path / "spool") not in page.text
    assert done["headline"] in page.text and "<script" not in page.text
    assert document["clip"] == done["result"]
    assert (document["headline"], document["sentences"]) == (done["headline"], done["explanation"])
    for person in document["explanation"]["people"]:
        (found,) = person["maps"]
        pictures = [person["face"], *(found[name] for name in ("crop", "coloured", "residual"))]
        assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
        assert list(person["regions"]) == list(REGIONS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../evil.mp4", "evil.mp4"),
        ("/etc/passwd", "passwd"),
        ("C:\\clips\\a.mp4", "a.mp4"),
        ("a\nb\x1b[2J.mp4", "a\\nb\\x1b[2J.mp4"),
        ("x" * 500, "x" * 200),
        ("..", ".."),
        ("", "clip"),
    ],
)
def test_the_name_of_a_clip_is_only_shown(server: RunningServer, name: str, shown: str) -> None:
    job = server.send(b"no video", name=name)
    done = server.wait(job)
    assert done["name"] == shown == done["result"]["path"]
    assert re.fullmatch("[0-9a-f]{32}", job["id"])
    names = {path.name for path in server.spool.iterdir()} - {"lock"}
    assert all(re.fullmatch(r"[0-9a-f]{32}\.(clip|json|html|report)", name) for name in names)
    assert {path.name for path in server.spool.parent.iterdir()} == {"spool"}


def test_a_path_in_the_request_line_is_not_opened(server: RunningServer) -> None:
    address = socket.create_connection(("127.0.0.1", server.client.base_url.port))
    with address, address.makefile("rb") as answer:
        address.sendall(
            b"GET /static/../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert answer.readline().split()[1] == b"404"
        assert b"root" not in answer.read()


def test_a_run_that_is_not_offered_is_refused(server: RunningServer, run: Path) -> None:
    for other in ("../..", "/etc", str(run.parent), f"{run}/"):
        response = server.client.post("/v1/clips", content=b"x", params={"run": other})
        assert response.status_code == 404 and "there is no run" in response.json()["error"]
    assert server.wait(server.send(b"x", run=str(run)))["run"] == str(run)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_clip_that_is_too_large_is_refused(server: RunningServer, has_length: bool) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield bytes(100_000)

    response = server.client.post("/v1/clips", content=bytes(1_100_000) if has_length else chunks())
    assert (response.status_code, response.json()) == (
        413,
        {"error": "the clip is larger than 1 MB"},
    )
    assert clips_in(server) == []


def test_an_empty_clip_is_refused(server: RunningServer) -> None:
    response = server.client.post("/v1/clips")
    assert (response.status_code, clips_in(server)) == (400, [])


def test_a_clip_that_is_too_long_is_inconclusive(server: RunningServer, tmp_path: Path) -> None:
    result = server.wait(server.send(write_grey(tmp_path / "a.mp4", DARK, frames=100)))["result"]
    assert (result["verdict"], result["cause"]) == ("inconclusive", "rejected")
    assert result["reason"] == "rejected: a video of 4.0 s exceeds the limit of 3 s"


@pytest.mark.slow
def test_an_upload_that_stops_is_ended(run: Path, tmp_path: Path) -> None:
    with running(tmp_path, run, idle_seconds=1.0) as server:

        def chunks() -> Iterator[bytes]:
            yield b"a beginning"
            until(lambda: clips_in(server), "the upload begins")
            until(lambda: not clips_in(server), "the upload is ended")
            yield b"an end"

        response = server.client.post("/v1/clips", content=chunks())
        assert response.status_code == 408
        assert "no data arrived for 1 s" in response.json()["error"]
        assert clips_in(server) == []


def test_an_upload_that_breaks_off_leaves_nothing(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.client.base_url.port)) as connection:
        connection.sendall(
            b"POST /v1/clips HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf"
        )
        assert len(until(lambda: clips_in(server), "the upload begins")) == 1
    until(lambda: not clips_in(server), "the upload is removed")


@pytest.mark.slow
def test_fifty_clips_at_once_are_neither_lost_nor_mixed_up(
    server: RunningServer, tmp_path: Path
) -> None:
    levels = [DARK, BRIGHT] * 25
    for level in (DARK, BRIGHT):
        write_grey(tmp_path / f"{level}.mp4", level)
    with ThreadPoolExecutor(50) as threads:
        jobs = list(
            threads.map(
                lambda at: server.send(tmp_path / f"{levels[at]}.mp4", name=str(at)), range(50)
            )
        )
    assert len({job["id"] for job in jobs}) == 50
    for number, (job, level) in enumerate(zip(jobs, levels, strict=True)):
        result = server.wait(job)["result"]
        assert (result["path"], result["verdict"]) == (
            str(number),
            "real" if level == DARK else "fake",
        )
    assert clips_in(server) == []


def test_a_removed_clip_is_gone(server: RunningServer, tmp_path: Path) -> None:
    clip = write_grey(tmp_path / "a.mp4", DARK, "hold")
    jobs = [server.send(clip), server.send(b"x")]
    server.wait(jobs[0], "running")
    server.wait(jobs[1])
    for job in jobs:
        url = f"/v1/clips/{job['id']}"
        assert server.client.delete(url).status_code == 204
        assert server.client.get(url).status_code == 404
        assert server.client.delete(url).status_code == 404
        assert not list(server.spool.glob(f"{job['id']}*"))
    server.release(jobs[0]["id"])
    assert server.wait(server.send(write_grey(tmp_path / "b.mp4", DARK)))["state"] == "done"
    assert not list(server.spool.glob(f"{jobs[0]['id']}*")), "its late verdict is not saved"


def test_a_clip_in_progress_survives_the_death_of_the_worker(
    server: RunningServer, tmp_path: Path
) -> None:
    waiting = server.send(write_grey(tmp_path / "a.mp4", BRIGHT, "kill once"))
    server.wait(waiting, "running")
    wait_for_marker(server, waiting)
    next_in_line = server.send(write_grey(tmp_path / "b.mp4", DARK))
    worker = server.worker_pid()
    decoders = children_of(worker)
    os.kill(worker, signal.SIGKILL)
    assert server.wait(waiting)["result"]["verdict"] == "fake"
    assert server.wait(next_in_line)["result"]["verdict"] == "real"
    (server.spool / f"{waiting['id']}.tried").unlink()
    until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in decoders),
        "decoding processes end with the worker",
    )


@pytest.mark.slow
def test_only_the_clip_that_kills_the_worker_gets_no_verdict(
    server: RunningServer, tmp_path: Path
) -> None:
    killer = write_grey(tmp_path / "killer.mp4", BRIGHT, "kill")
    harmless = write_grey(tmp_path / "harmless.mp4", DARK, "second")
    jobs = [server.send(harmless), server.send(killer), server.send(harmless)]
    before, killed, after = (server.wait(job) for job in jobs)
    assert before["result"]["verdict"] == after["result"]["verdict"] == "real"
    result = killed["result"]
    assert (result["verdict"], result["cause"], result["score"]) == ("inconclusive", "crash", None)
    assert result["reason"] == (
        "crash: the worker process was killed by SIGKILL while it classified this clip, twice"
    )
    assert (
        killed["explanation"][1] == "The program that analyses clips crashed on this file, twice."
    )
    assert set(result) == set(before["result"])
    assert (killed["headline"], killed["report"]) == ("Inconclusive", None)


def test_a_verdict_is_not_lost_if_its_explanation_fails(
    server: RunningServer, tmp_path: Path
) -> None:
    job = server.send(write_grey(tmp_path / "a.mp4", DARK, "kill explain"))
    done = server.wait(job)
    assert (done["result"]["verdict"], done["headline"]) == ("real", "Real: moderate support")
    assert done["report"] is None
    assert server.wait(server.send(write_grey(tmp_path / "b.mp4", DARK)))["report"]


def test_a_clip_that_kills_its_decoder_is_inconclusive(
    server: RunningServer, tmp_path: Path
) -> None:
    pid = server.worker_pid()
    job = server.wait(server.send(write_grey(tmp_path / "a.mp4", DARK, "kill decoder")))
    assert job["result"]["reason"] == (
        "decode_error: the decoding process was killed by SIGABRT, twice"
    )
    assert server.worker_pid() == pid


@pytest.mark.slow
def test_a_full_queue_is_reported_and_empties(run: Path, tmp_path: Path) -> None:
    clip = write_grey(tmp_path / "a.mp4", DARK, "hold")
    with running(tmp_path, run, queue=2, keep_minutes=0.02) as server:
        jobs = [server.send(clip), server.send(clip)]
        response = server.client.post("/v1/clips", content=clip.read_bytes())
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) > 0
        for job in jobs:
            server.release(job["id"])

        def accepted() -> dict[str, Any]:
            response = server.client.post("/v1/clips", content=b"x")
            assert response.status_code in (202, 429)
            return dict(response.json()) if response.status_code == 202 else {}

        def is_deleted() -> bool:
            response = server.client.get(f"/v1/clips/{job['id']}")
            assert response.status_code in (200, 404)
            return response.status_code == 404

        job = until(accepted, "the queue has room again")
        until(is_deleted, "results are deleted after --keep-minutes")
        until(lambda: not list(server.spool.glob("*.*")), "files are deleted with the results")


@pytest.mark.slow
def test_a_stopped_server_finishes_clips_in_progress(run: Path, tmp_path: Path) -> None:
    with running(tmp_path, run, stop_seconds=PATIENCE_SECONDS) as server:
        job = server.send(write_grey(tmp_path / "a.mp4", DARK, "hold"))
        server.wait(job, "running")
        server.process.send_signal(signal.SIGTERM)
        server.release(job["id"])
        assert server.process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert json.loads((server.spool / f"{job['id']}.json").read_text())["state"] == "done"
    assert clips_in(server) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [True, False])
def test_the_next_server_resumes_what_is_not_done(
    run: Path, tmp_path: Path, is_killed: bool
) -> None:
    with running(tmp_path, run, stop_seconds=0.1) as server:
        done = server.wait(server.send(write_grey(tmp_path / "a.mp4", BRIGHT)))
        jobs = [server.send(write_grey(tmp_path / "b.mp4", DARK, "kill once"))]
        wait_for_marker(server, jobs[0])
        jobs += [server.send(write_grey(tmp_path / "c.mp4", DARK)) for _ in range(3)]
        worker = server.worker_pid()
        if is_killed:
            server.process.kill()
            server.process.wait()
        else:
            assert server.stop() == -signal.SIGTERM
    with running(tmp_path, run) as server:
        assert server.get(done) == done
        assert [server.wait(job)["result"]["verdict"] for job in jobs] == ["real"] * 4
        until(lambda: not Path(f"/proc/{worker}").exists(), "the worker ends with its server")


@pytest.mark.slow
def test_each_clip_is_classified_with_the_chosen_run(tmp_path: Path) -> None:
    runs = [brightness.write_run(tmp_path / "runs" / name) for name in ("a", "b", "c", "damaged")]
    (runs.pop() / "model.safetensors").write_bytes(b"x")
    clip = write_grey(tmp_path / "a.mp4", DARK)
    with running(tmp_path, tmp_path / "runs") as server:
        offered = [values["run"] for values in server.client.get("/v1/about").json()["runs"]]
        assert len(offered) == 4
        jobs = [server.send(clip, run=str(run)) for run in [*runs, *runs]]
        damaged = server.wait(server.send(clip, run=str(tmp_path / "runs" / "damaged")))
        for job, run in zip(jobs, [*runs, *runs], strict=True):
            done = server.wait(job)
            assert done["result"]["run"] == done["run"] == str(run)
        assert (damaged["state"], damaged["result"]) == ("failed", None)
        assert "model.safetensors" in damaged["error"]
