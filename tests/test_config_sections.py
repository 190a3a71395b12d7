from __future__ import annotations

import pytest

from deepfake_seq.config import ExtractConfig, SamplingConfig
from deepfake_seq.errors import UsageError


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(UsageError):
        ExtractConfig.from_dict({**ExtractConfig().to_dict(), "audio": {}})


def test_a_key_missing_from_a_section_is_refused() -> None:
    values = ExtractConfig().to_dict()
    del values["faces"]["margin"]
    with pytest.raises(UsageError):
        ExtractConfig.from_dict(values)


def test_half_a_frame_is_refused() -> None:
    with pytest.raises(UsageError):
        SamplingConfig(frames=7.5)  # type: ignore[arg-type]
