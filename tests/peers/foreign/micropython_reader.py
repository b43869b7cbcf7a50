"""Copies everything on a FAT image into a folder, by MicroPython's VfsFat: ``micropython micropython_reader.py IMAGE
FOLDER``; runs under MicroPython's Unix port.
"""

import os
import sys

import vfs

DIRECTORY = 0x4000


class Image:
    """The block device, for reading."""

    def __init__(self, path):
        self.file = open(path, "rb")  # noqa: SIM115 - stays open as long as the volume
        self.count = self.file.seek(0, 2) // 512

    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * 512 + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        raise OSError(30)

    def ioctl(self, op, arg):
        return {4: self.count, 5: 512}.get(op, 0)


def copy(path, folder):
    for row in os.ilistdir(path):
        name, kind = row[0], row[1]
        if kind == DIRECTORY:
            os.mkdir(folder + "/" + name)
            copy(path + "/" + name, folder + "/" + name)
        else:
            with open(path + "/" + name, "rb") as source, open(folder + "/" + name, "wb") as target:
                target.write(source.read())


vfs.mount(vfs.VfsFat(Image(sys.argv[1])), "/card", readonly=True)
copy("/card", sys.argv[2])
