"""C2PA manifests of a clip: signed statements on its origin (https://c2pa.org), checked offline.

They are read by `c2pa-python`, the extra `provenance`. Nothing is fetched: neither manifests that
the file only refers to, nor answers on the revocation of certificates (OCSP). Integrity (the
signature is valid and the file was not changed since) and trust (the signer is known) are separate:
anybody can sign anything with a certificate of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video.decoder_pool import Decoders

NOT_EXAMINED, ABSENT, FAILED = "not examined", "absent", "unreadable"
INTACT, BROKEN = "intact", "broken"
"""The values of `Provenance.state`."""

TRUSTED, UNTRUSTED, UNCHECKED = "trusted", "not trusted", "not checked"
"""The values of `Provenance.trust`."""

_MAX_TEXT = 300
_MAX_ITEMS = 20
_SIGNER_CODES = "signingCredential."

_MEDIA_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".m4v": "video/mp4"} | {
    ".avi": "video/avi"
}


@dataclass(frozen=True)
class Provenance:
    """What the C2PA manifests of a file say; all text is untrusted.

    Attributes:
        state: `intact` or `broken` if there is a manifest; else `absent`, `unreadable` or
            `not examined`.
        reason: Why it is not `intact`; "" otherwise.
        trust: Whether the signer's certificate is on the given trust list; `not checked` if none
            was given.
        signer: Name in the signer's certificate.
        signed: Time of the signature according to a trusted timestamp; "" if there is none.
        generator: Program or device that made the manifest.
        actions: What was done with the file, in the order of the manifest.
    """

    state: str
    reason: str = ""
    trust: str = UNCHECKED
    signer: str = ""
    signed: str = ""
    generator: str = ""
    actions: tuple[str, ...] = ()


def read_provenance(path: Path, decoders: Decoders, trust_list: Path | None = None) -> Provenance:
    """Read and check the C2PA manifests of a file, in another process.

    Args:
        path: Path of the file; untrusted input.
        decoders: The processes to use.
        trust_list: PEM file with the root certificates of trusted signers.
    """
    if find_spec("c2pa") is None:
        return Provenance(
            NOT_EXAMINED,
            "the package c2pa-python is not installed: `pip install 'deepfake-seq[provenance]'`",
        )
    anchors = trust_list.read_text() if trust_list else ""
    try:
        provenance: Provenance = decoders.call(_read, path, anchors)
    except VideoError as error:
        return Provenance(FAILED, str(error))
    return provenance


def _read(path: Path, anchors: str) -> Provenance:
    """Read the manifests; runs in the other process."""
    from c2pa import C2paError, Context, Reader, Settings

    verify = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True}
    settings = {"verify": verify, **({"trust": {"trust_anchors": anchors}} if anchors else {})}
    try:
        context = Context(Settings.from_dict(settings))
        with path.open("rb") as file:
            reader = Reader.try_create(_MEDIA_TYPES.get(path.suffix.lower()), file, context=context)
            if reader is None:
                return Provenance(ABSENT, "the file contains no C2PA manifest")
            return provenance_of(json.loads(reader.json()), has_trust_list=bool(anchors))
    except (C2paError, OSError, ValueError) as error:
        return Provenance(FAILED, _text(f"{type(error).__name__}: {error}"))


def provenance_of(store: Mapping[str, Any], *, has_trust_list: bool) -> Provenance:
    """Summarise a manifest store as `c2pa.Reader.json` returns it.

    Args:
        store: The manifest store.
        has_trust_list: Whether a trust list was given.
    """
    manifest = _mapping(_mapping(store.get("manifests")).get(str(store.get("active_manifest"))))
    results = _mapping(_mapping(store.get("validation_results")).get("activeManifest"))
    failures = [*_codes(results.get("failure")), *_codes(store.get("validation_status"))]
    broken = {code: text for code, text in failures if not code.startswith(_SIGNER_CODES)}
    successes = dict(_codes(results.get("success")))
    signature = _mapping(manifest.get("signature_info"))
    trust = UNCHECKED
    if has_trust_list:
        trusted = "signingCredential.trusted" in successes
        trust = TRUSTED if trusted else UNTRUSTED
    if not broken and "claimSignature.validated" not in successes:
        broken["claimSignature.missing"] = "no valid signature was found"
    return Provenance(
        state=BROKEN if broken else INTACT,
        reason="; ".join(f"{code}: {text}" for code, text in broken.items()),
        trust=trust,
        signer=_text(
            ", ".join(
                dict.fromkeys(
                    str(signature[name]) for name in ("common_name", "issuer") if name in signature
                )
            )
        ),
        signed=_text(signature.get("time", "")),
        generator=_generator(manifest),
        actions=tuple(_actions(manifest))[:_MAX_ITEMS],
    )


def _generator(manifest: Mapping[str, Any]) -> str:
    infos = manifest.get("claim_generator_info")
    info = _mapping(infos[0]) if isinstance(infos, list) and infos else {}
    named = " ".join(str(info[key]) for key in ("name", "version") if key in info)
    return _text(named or manifest.get("claim_generator", ""))


def _actions(manifest: Mapping[str, Any]) -> list[str]:
    found = []
    for assertion in manifest.get("assertions") or []:
        label, data = _mapping(assertion).get("label"), _mapping(_mapping(assertion).get("data"))
        if str(label).startswith("c2pa.actions"):
            for action in data.get("actions") or []:
                source = str(_mapping(action).get("digitalSourceType", "")).rpartition("/")[2]
                name = str(_mapping(action).get("action", ""))
                found.append(_text(f"{name} ({source})" if source else name))
    return found


def _codes(statuses: Any) -> list[tuple[str, str]]:
    """Return the code and the explanation of validation statuses."""
    rows = [_mapping(status) for status in statuses or []][:_MAX_ITEMS]
    return [(_text(row.get("code", "")), _text(row.get("explanation", ""))) for row in rows]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
