"""Fixtures for tests of both kinds of stores."""

from __future__ import annotations

import pytest
from records import KINDS, StoreKind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    store_kind: StoreKind = request.param
    return store_kind
