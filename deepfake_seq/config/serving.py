"""Settings of `serve`: where it listens, and the limits on what clients send."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from deepfake_seq.config.checks import check
from deepfake_seq.config.setting import check_settings, setting

MIN_TOKEN = 16
_MB = 1_000_000


@dataclass(frozen=True)
class ServeConfig:
    """Address, access and limits of the web server."""

    host: str = setting("127.0.0.1", "Address to listen on.", metavar="ADDRESS")
    port: int = setting(8000, "Port to listen on; 0 for a free one.", low=0, high=65_535)
    token: str = setting(
        "",
        f"Token that clients must send, at least {MIN_TOKEN} characters; required unless --host "
        "is an address of this machine only. The environment variable is safer: other users can "
        "read the command line.",
        default_text="none",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Names under which clients reach this server, besides localhost and IP addresses; "
        "separated by commas. Requests for other names are refused.",
        option="--allow-host",
        metavar="NAMES",
        kind=str,
        read=lambda text: tuple(name.strip().lower() for name in text.split(",") if name.strip()),
        write=",".join,
        default_text="none",
    )
    queue: int = setting(
        100,
        "Maximum number of clips that are not done; further ones are refused with status 429.",
        low=1,
        high=100_000,
    )
    upload_bytes: int = setting(
        500 * _MB,
        "Maximum size of a clip.",
        low=1,
        high=16_000,
        unit="MB",
        option="--max-size",
        kind=float,
        read=lambda megabytes: int(megabytes * _MB),
        write=lambda size: size / _MB,
    )
    clip_seconds: float = setting(
        600.0,
        "Maximum duration of a clip.",
        low=1,
        high=86_400,
        unit="seconds",
        option="--max-duration",
    )
    upload_seconds: float = setting(
        600.0,
        "Time limit for one upload.",
        low=1,
        high=86_400,
        unit="seconds",
        option="--upload-timeout",
    )
    idle_seconds: float = setting(
        20.0,
        "Time after which an upload is ended if no data arrives.",
        above=0,
        unit="seconds",
        has_option=False,
    )
    keep_minutes: float = setting(
        60.0,
        "Time for which a result is kept. The clip itself is deleted as soon as it is done.",
        above=0,
        high=1_000_000,
        unit="minutes",
    )
    stop_seconds: float = setting(
        7.0,
        "Time that clips in progress get to finish when the server is stopped; the others are "
        "resumed by the next start.",
        low=0,
        high=3600,
        unit="seconds",
        option="--stop-timeout",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.token:
            check(
                len(self.token) >= MIN_TOKEN and self.token.isascii() and self.token.isprintable(),
                f"--token must have at least {MIN_TOKEN} printable ASCII characters",
                f"{len(self.token)} characters",
            )
        check(
            self.is_local or bool(self.token),
            "--host other than 127.0.0.1 needs --token or DEEPSEQ_TOKEN, so that not everyone in "
            "the network can use the server",
            self.host,
        )

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
