"""`deepseq serve`: the local web page and its API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepfake_seq.commands.clips import (
    report_content,
    report_content_options,
    weights_of,
    weights_options,
)
from deepfake_seq.commands.options import (
    PATH,
    command,
    execution_options,
    execution_settings,
    from_options,
    option,
    option_of,
    options_of,
)
from deepfake_seq.commands.output import echo_message
from deepfake_seq.config import PredictConfig, ServeConfig

_ACCESS, _LIMITS = "Access", "Limit"


@command()
@option(
    "--run",
    "runs",
    type=PATH,
    multiple=True,
    show_default="runs/",
    help="Run to offer, or folder of runs; may be given several times.",
)
@weights_options
@option(
    "--spool",
    type=PATH,
    show_default="a folder under DEEPSEQ_HOME",
    help="Folder for clips that are not done and for results; only one server may use it.",
)
@options_of(ServeConfig, "host", "port", heading=_ACCESS)
@option_of(ServeConfig, "token", _ACCESS, envvar="DEEPSEQ_TOKEN", show_envvar=True)
@options_of(ServeConfig, "allowed_hosts", heading=_ACCESS)
@options_of(
    ServeConfig,
    *("queue", "upload_bytes", "clip_seconds", "upload_seconds", "keep_minutes", "stop_seconds"),
    heading=_LIMITS,
)
@options_of(PredictConfig, "people", "short_side", "window_seconds", heading="People and time")
@options_of(PredictConfig, "novelty_alpha")
@report_content_options
@execution_options
def serve(
    runs: tuple[Path, ...],
    spool: Path | None,
    **options: Any,
) -> None:
    """Serve a web page on which clips are classified.

    Open the printed address in a browser, and drop video files on the page. Programs use the API
    that /openapi.json describes. Only this machine can connect, unless --host and --token are
    given. Ctrl-C or SIGTERM stops the server; clips that are not done are resumed by the next
    start.
    """
    from deepfake_seq.serve.server import serve as run_server
    from deepfake_seq.serve.worker import PredictorConfig
    from deepfake_seq.weights import home

    worker = PredictorConfig(
        execution_settings(options),
        weights_of(options),
        from_options(PredictConfig, options),
        report_content(options),
    )
    run_server(
        runs or (Path("runs"),),
        spool or home() / "serve",
        from_options(ServeConfig, options),
        worker,
        lambda address: echo_message(f"open {address} in a browser; Ctrl-C stops the server"),
    )
