"""What reading certificates must not load: a boot with its certificate in flash needs no RSA arithmetic."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import firmware.x509
print([name for name in ("cryptography", "gmpy2", "OpenSSL", "asyncio", "socket") if name in sys.modules])
"""


def test_the_arithmetic_is_loaded_at_its_first_use_and_not_before() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
