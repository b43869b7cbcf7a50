"""Foreign programs as judges: skipped with a reason where one is missing, a failure under ``CI=true``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest


@pytest.fixture
def require_program() -> Callable[[str], str]:
    """Gives the path of a foreign program, or ends the test: skipped with a reason, failed where ``CI=true``."""

    def require(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if path is None:
            reason = f"{name} is not installed here"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return require
