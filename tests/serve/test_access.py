"""Who may use the server, and the headers of its responses."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
from typing import Any

import brightness
import httpx
import pytest

from deepfake_seq import atomic
from deepfake_seq.config import ExecutionConfig, PredictConfig, ServeConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.predict import WeightsOverride
from deepfake_seq.serve.app import Service, build_app
from deepfake_seq.serve.dispatcher import Dispatcher
from deepfake_seq.serve.jobs import JobTable
from deepfake_seq.serve.runs import OfferedRuns
from deepfake_seq.serve.spool import Spool
from deepfake_seq.serve.worker import PredictorConfig

TOKEN = "correct horse battery staple"


class AppClient:
    """Calls an application in this process, without its lifespan."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8000"
            ) as client:
                return await client.request(method, path, **options)

        return asyncio.run(answer())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def client_of(folder: Path, config: ServeConfig | None = None) -> AppClient:
    """Return a client of an application without a worker."""
    config = config or ServeConfig()
    spool = Spool(folder / "spool")
    jobs = JobTable(spool, config.queue)
    worker = PredictorConfig(ExecutionConfig(), WeightsOverride(), PredictConfig())
    dispatcher = Dispatcher(jobs, spool, worker, 60)
    service = Service(config, spool, jobs, OfferedRuns([folder / "runs"]), dispatcher)
    return AppClient(build_app(service))


@pytest.fixture
def client(tmp_path: Path) -> AppClient:
    brightness.write_run(tmp_path / "runs" / "grey")
    return client_of(tmp_path)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_leads_here_by_dns_rebinding_is_refused(client: AppClient, host: str) -> None:
    for path in ("/", "/v1/about", "/static/page.js"):
        response = client.get(path, headers={"Host": host})
        assert response.status_code == 421
        assert "Host" in response.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:80", "[::1]:8000"])
def test_addresses_and_localhost_are_answered(client: AppClient, host: str) -> None:
    assert client.get("/v1/about", headers={"Host": host}).status_code == 200


def test_a_further_name_is_answered_if_it_is_allowed(tmp_path: Path) -> None:
    client = client_of(tmp_path, ServeConfig(allowed_hosts=("clips.example",)))
    for name in ("clips.example", "Clips.Example:443"):
        assert client.get("/v1/about", headers={"Host": name}).status_code == 200
    assert client.get("/v1/about", headers={"Host": "other.example"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_pages_can_neither_send_nor_read(client: AppClient, headers: dict[str, str]) -> None:
    assert client.get("/v1/about", headers=headers).status_code == 403
    assert client.post("/v1/clips", content=b"x", headers=headers).status_code == 403
    assert client.request("DELETE", "/v1/clips/x", headers=headers).status_code == 403


def test_the_page_itself_and_links_to_it_are_allowed(client: AppClient) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.get("/v1/about", headers=own).status_code == 200
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_without_the_token_only_the_page_is_served(tmp_path: Path) -> None:
    client = client_of(tmp_path, ServeConfig(token=TOKEN))
    for path in ("/", "/static/page.css", "/static/page.js", "/healthz", "/openapi.json"):
        assert client.get(path).status_code == 200, path
    for sent in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        for method, path in (("GET", "/v1/about"), ("POST", "/v1/clips"), ("GET", "/nothing")):
            response = client.request(method, path, headers=sent)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/v1/about", headers=right).status_code == 200
    assert TOKEN not in client.get("/openapi.json").text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_the_network_needs_a_token(host: str) -> None:
    with pytest.raises(UsageError, match=r"needs --token or DEEPSEQ_TOKEN.*Received"):
        ServeConfig(host=host)
    assert not ServeConfig(host=host, token=TOKEN).is_local


def test_a_short_token_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="at least 16 printable") as error:
        ServeConfig(token="hunter2")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert ServeConfig(host=host).is_local


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/nothing", 404), ("/static/page.js", 200), ("/v1/about", 200)],
)
def test_every_response_has_strict_headers(client: AppClient, path: str, status: int) -> None:
    for extra, expected in (({}, status), ({"Host": "evil.example"}, 421)):
        response = client.get(path, headers=extra)
        assert response.status_code == expected
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert "server" not in response.headers


def test_files_get_their_types(client: AppClient) -> None:
    types = {"/": "text/html", "/static/page.css": "text/css", "/static/page.js": "text/javascript"}
    for path, media_type in types.items():
        assert client.get(path).headers["Content-Type"].startswith(media_type)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../serve/server.py",
        "/static/..%2f..%2fserve%2fserver.py",
        "/static/%2e%2e/server.py",
        "/v1/clips/..%2f..%2fetc%2fpasswd",
        "/v1/clips/%2e%2e",
        "/v1/clips/lock",
        "/v1/clips/" + "0" * 32,
    ],
)
def test_no_path_of_the_client_is_opened(client: AppClient, path: str) -> None:
    for method in ("GET", "DELETE"):
        response = client.request(method, path)
        assert response.status_code in (404, 405), response.text
        assert set(response.json()) == {"error"}


def test_without_a_run_clips_are_refused_with_advice(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    assert client.get("/v1/about").json()["runs"] == []
    response = client.post("/v1/clips", content=b"x")
    assert response.status_code == 503
    assert "deepseq fit" in response.json()["error"]
    brightness.write_run(tmp_path / "runs" / "new")
    assert client.post("/v1/clips", content=b"x").status_code == 202, "no restart is needed"


def test_runs_are_offered_newest_first_without_damaged_ones(tmp_path: Path) -> None:
    for name, created in (("a", "2026-02-01"), ("b", "2026-03-01"), ("c", "2026-01-01")):
        description = brightness.write_run(tmp_path / "runs" / name) / "model.json"
        values = {**json.loads(description.read_text()), "created": f"{created}T00:00:00+00:00"}
        description.write_text(json.dumps(values))
    (tmp_path / "runs" / "c" / "model.json").write_text("{")
    runs = client_of(tmp_path).get("/v1/about").json()["runs"]
    assert [Path(run["run"]).name for run in runs] == ["b", "a"]
    assert runs[0]["clips"] == {"real": 20, "fake": 20}


def test_the_description_of_the_api_names_every_route(client: AppClient) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    for path, methods in described["paths"].items():
        for method in methods:
            response = client.request(method.upper(), path.format(id="x"), content=b"x")
            assert str(response.status_code) in methods[method]["responses"], (method, path)
    documented = set(described["paths"]) | {"/", "/static/page.css", "/static/page.js"}
    assert {route.path for route in client.app.routes} == documented | {"/openapi.json"}


def test_a_clip_that_cannot_be_saved_is_refused(
    client: AppClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "write_json", full)
    response = client.post("/v1/clips", content=b"x")
    assert response.status_code == 507
    assert response.json() == {"error": "the clip cannot be saved: No space left on device"}
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]
