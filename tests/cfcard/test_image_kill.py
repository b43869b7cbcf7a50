"""A process that writes to a card image is killed: the image is whole, and free for the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cfcard import ImageDevice
from cfcard.fat import Fat
from cfcard.layout import lay_out

WRITER = """
import sys
from cfcard import ImageDevice
from cfcard.fat import Fat
volume = Fat().mount(ImageDevice(sys.argv[1]))
number = 0
while True:
    number += 1
    volume.replace("/CA/cakey.pem", b"%08d" % number * 1000)
    print(number, flush=True)
"""


def test_killed_writer_leaves_what_it_had_reported_or_newer(tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    device = ImageDevice.create(path, 8 << 20)
    lay_out(device)
    device.close()
    for lines in (1, 7, 20):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            reported = [int(writer.stdout.readline()) for _ in range(lines)][-1]
            writer.kill()
            writer.wait()
        device = ImageDevice(path)
        content = Fat().mount(device).read_file("/CA/cakey.pem")
        number = int(content[:8])
        assert number >= reported
        assert content == b"%08d" % number * 1000
        assert all("lost" in problem or "FAT copies" in problem for problem in Fat().check(device).problems)
        device.close()
