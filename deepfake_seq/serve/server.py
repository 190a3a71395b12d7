"""Start and stop the server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from deepfake_seq.config import ServeConfig
from deepfake_seq.errors import EngineError, UsageError
from deepfake_seq.serve.worker import PredictorConfig

_MAX_CONNECTIONS = 500
"""Further connections are refused with status 503, so that open files do not run out."""

_GRACE_SECONDS = 2
"""Time that responses in progress get to finish when the server is stopped."""


def serve(
    folders: Sequence[Path],
    spool_folder: Path,
    config: ServeConfig,
    worker: PredictorConfig,
    on_start: Callable[[str], None],
) -> None:
    """Serve the page and the API until SIGINT or SIGTERM.

    Args:
        folders: Run directories, and folders that contain some.
        spool_folder: Folder for uploads and results.
        config: Address, access and limits.
        worker: How clips are classified; `config` limits their duration.
        on_start: Called with the address of the page once the server listens.

    Raises:
        EngineError: The extra `web` is not installed.
        UsageError: The address cannot be used, or another server uses the folder.
    """
    try:
        import uvicorn

        from deepfake_seq.serve.app import Service, build_app
    except ModuleNotFoundError as error:
        raise EngineError(
            f"`deepseq serve` needs the package {error.name}: pip install 'deepfake-seq[web]'"
        ) from error
    from deepfake_seq.serve.dispatcher import Dispatcher
    from deepfake_seq.serve.jobs import JobTable
    from deepfake_seq.serve.runs import OfferedRuns
    from deepfake_seq.serve.spool import Spool

    limits = replace(worker.execution.limits, duration_seconds=config.clip_seconds)
    worker = replace(worker, execution=replace(worker.execution, limits=limits))
    runs = OfferedRuns(folders)
    listener = _listen(config)
    with listener, Spool(spool_folder) as spool:
        jobs = JobTable(spool, config.queue)
        newest = next((Path(values["run"]) for values in runs.newest_first()), None)
        dispatcher = Dispatcher(jobs, spool, worker, 60 * config.keep_minutes, newest)
        service = Service(config, spool, jobs, runs, dispatcher)
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(service),
                log_config=None,
                access_log=False,  # it would contain the names of clips
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                limit_concurrency=_MAX_CONNECTIONS,
                ws="none",
            )
        )
        on_start(_address(config, listener))
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def _listen(config: ServeConfig) -> socket.socket:
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {config.host}, port {config.port}: {error.strerror}. Give others "
            f"with --host and --port. Received: --host {config.host} --port {config.port}"
        ) from error


def _address(config: ServeConfig, listener: socket.socket) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{listener.getsockname()[1]}/"
