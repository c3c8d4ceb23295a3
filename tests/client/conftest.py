"""What the tests of the client floor share."""

from __future__ import annotations

import pytest

from digest_scene import Scene


@pytest.fixture
def scene() -> Scene:
    """Alice and Bob, for the tests of digest authentication."""
    return Scene()
