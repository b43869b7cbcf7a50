"""Foreign programs as judges: skipped with a reason where one is missing, a failure under ``CI=true``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

# No network of its own, no profile but a fresh one; without a sandbox, which a container does not let it have.
CHROMIUM_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


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


@pytest.fixture
def chromium(require_program: Callable[[str], str], tmp_path: Path) -> list[str]:
    """The command that starts a browser without a window; more options and an address follow."""
    return [require_program("chromium"), *CHROMIUM_OPTIONS, f"--user-data-dir={tmp_path / 'profile'}"]
