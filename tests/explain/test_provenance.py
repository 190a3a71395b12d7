"""C2PA manifests: integrity and trust are separate, and nothing is fetched."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.explain.provenance import provenance_of, read_provenance
from deepfake_seq.extract.video.decoder_pool import Decoders

SUCCESS = {"code": "claimSignature.validated", "explanation": "claim signature valid"}
UNTRUSTED = {"code": "signingCredential.untrusted", "explanation": "certificate untrusted"}
TRUSTED = {"code": "signingCredential.trusted", "explanation": "certificate trusted"}
CHANGED = {"code": "assertion.bmffHash.mismatch", "explanation": "hash mismatch"}
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(1, SamplingConfig(), LimitsConfig()) as pool:
        yield pool


def store(success: list[Any], failure: list[Any]) -> dict[str, Any]:
    """Return a manifest store as c2pa returns it."""
    manifest = {
        "claim_generator_info": [{"name": "Some Camera", "version": "2"}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE}]},
            }
        ],
        "signature_info": {"issuer": "Some Newsroom", "common_name": "Desk"},
    }
    return {
        "active_manifest": "a",
        "manifests": {"a": manifest},
        "validation_results": {"activeManifest": {"success": success, "failure": failure}},
        "validation_status": failure,
    }


def test_an_unknown_signer_does_not_break_the_integrity() -> None:
    result = provenance_of(store([SUCCESS], [UNTRUSTED]), has_trust_list=True)
    assert (result.state, result.trust) == ("intact", "not trusted")
    assert provenance_of(store([SUCCESS], [UNTRUSTED]), has_trust_list=False).trust == "not checked"
    assert result.signer == "Desk, Some Newsroom" and result.generator == "Some Camera 2"
    assert result.actions == ("c2pa.created (trainedAlgorithmicMedia)",)


def test_a_trusted_signer_does_not_mend_a_changed_file() -> None:
    result = provenance_of(store([SUCCESS, TRUSTED], [CHANGED]), has_trust_list=True)
    assert (result.state, result.trust) == ("broken", "trusted")
    assert "assertion.bmffHash.mismatch" in result.reason


@pytest.mark.parametrize(
    "damaged",
    [{}, {"manifests": 3}, {"active_manifest": "a", "manifests": {"a": {"assertions": [None]}}}],
    ids=["empty", "number", "null"],
)
def test_a_manifest_without_a_signature_is_not_intact(damaged: dict[str, Any]) -> None:
    assert provenance_of(damaged, has_trust_list=False).state == "broken"


def test_without_the_package_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoders: Decoders
) -> None:
    monkeypatch.setattr("deepfake_seq.explain.provenance.find_spec", lambda name: None)
    result = read_provenance(write_clip(tmp_path / "a.mp4", 5), decoders)
    assert result.state == "not examined" and "deepfake-seq[provenance]" in result.reason


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clip that was signed with a certificate of our own, and its root certificate."""
    c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    folder = tmp_path_factory.mktemp("signed")
    root, chain, key = certificates()
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None)
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE}]}
    builder = c2pa.Builder(
        {
            "claim_generator_info": [{"name": "test", "version": "1"}],
            "assertions": [{"label": "c2pa.actions", "data": actions}],
        }
    )
    clip, target = write_clip(folder / "a.mp4", 20), folder / "signed.mp4"
    with clip.open("rb") as source, target.open("w+b") as out:
        builder.sign(c2pa.Signer.from_info(info), "video/mp4", source, out)
    (folder / "root.pem").write_bytes(root)
    return target, folder / "root.pem"


def certificates() -> tuple[bytes, bytes, bytes]:
    """Return a root certificate, a chain with a signer's certificate, and the signer's key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def certificate(subject: str, key: Any, *, is_root: bool) -> bytes:
        names = [
            x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name),
                ]
            )
            for name in (subject, "Root")
        ]
        usage = dict.fromkeys(
            (
                *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
                *("encipher_only", "decipher_only"),
            ),
            False,
        )
        usage |= {"digital_signature": True, "key_cert_sign": is_root, "crl_sign": is_root}
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[0])
            .issuer_name(names[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(is_root, None), True)
            .add_extension(x509.KeyUsage(**usage), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False
            )
        )
        if not is_root:
            purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, False)
        signed = builder.sign(keys[0], hashes.SHA256())
        return bytes(signed.public_bytes(serialization.Encoding.PEM))

    root = certificate("Root", keys[0], is_root=True)
    signer = certificate("Some Newsroom", keys[1], is_root=False)
    key = keys[1].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return root, signer + root, key


def test_a_signed_clip_is_intact_and_trusted_only_with_a_trust_list(
    signed: tuple[Path, Path], decoders: Decoders
) -> None:
    clip, root = signed
    result = read_provenance(clip, decoders)
    assert (result.state, result.trust) == ("intact", "not checked"), result.reason
    assert result.signer == "Some Newsroom"
    assert read_provenance(clip, decoders, root).trust == "trusted"


def test_a_changed_clip_is_broken(
    signed: tuple[Path, Path], decoders: Decoders, tmp_path: Path
) -> None:
    data = bytearray(signed[0].read_bytes())
    data[data.index(b"mdat") + 50] ^= 0xFF
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(data)
    assert read_provenance(changed, decoders).state == "broken"


def test_a_clip_without_a_manifest_has_none(decoders: Decoders, tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    assert read_provenance(write_clip(tmp_path / "a.mp4", 5), decoders).state == "absent"
