"""Both kinds of stores, for what they promise alike."""

from __future__ import annotations

import pytest
from records import KINDS, StoreKind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    found: StoreKind = request.param
    return found
