"""What is done to a USB card reader inside the guest: each scene gives facts, and the tests outside judge them.

Run by the guest's first process as root, with the shared folder as its argument: told.json there grows scene by scene.
"""

from __future__ import annotations

import sys
from pathlib import Path

import hands  # noqa: F401, it brings its scenes
import use  # noqa: F401, so does it
from stage import perform

if __name__ == "__main__":
    perform(Path(sys.argv[1]))
