"""Options of the whole test run."""

from __future__ import annotations

import pytest
from hypothesis import settings


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update` writes golden files anew; their changes are reviewed as text."""
    parser.addoption(
        "--update", action="store_true", help="write golden files anew instead of comparing with them"
    )


settings.register_profile("hourmeter", deadline=None)
settings.load_profile("hourmeter")
