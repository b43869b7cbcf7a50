"""What is found out about the disks of a host from sysfs and procfs, without opening one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from cfcard.discovery import disk_numbered, disks, parent_of_partition

Host = Any  # tests/cfcard/conftest.py has the class


def test_reader_on_usb_is_described(host: Host) -> None:
    host.add(size=7_831_552)
    (disk,) = disks(host.root)
    assert (disk.device, disk.vendor, disk.model) == ("/dev/sdb", "Generic", "STORAGE DEVICE")
    assert disk.title == "Generic STORAGE DEVICE"
    assert (disk.size_bytes, disk.sector_bytes) == (7_831_552 * 512, 512)
    assert (disk.removable, disk.usb, disk.write_protected) == (True, True, False)
    assert (disk.mounts, disk.swap, disk.holders) == ((), False, ())


def test_usb_is_an_ancestor_and_not_a_name(host: Host) -> None:
    host.add("sda", "8:0", bus="pci0000:00/ata1/usbish", removable=0)
    host.add("sdb", "8:16", bus="platform/usb12/12-1")
    assert [disk.usb for disk in disks(host.root)] == [False, True]


def test_empty_reader_and_write_protected_card_are_seen(host: Host) -> None:
    host.add(size=0, ro=1)
    (disk,) = disks(host.root)
    assert disk.size_bytes == 0
    assert disk.write_protected


def test_disks_come_in_the_order_of_their_names_and_cd_drives_not_at_all(host: Host) -> None:
    host.add("sdaa", "65:160")
    host.add("sdb", "8:16")
    host.add("sr0", "11:0", type=5)
    host.add("cciss!c0d0", "104:0")
    assert [disk.device for disk in disks(host.root)] == ["/dev/sdb", "/dev/sdaa", "/dev/cciss/c0d0"]


def test_mounts_are_found_of_the_disk_its_partitions_and_what_is_built_on_them(host: Host) -> None:
    disk = host.add()
    part = host.add_partition("sdb1", "8:17", disk)
    host.add("dm-0", "253:0", bus="virtual")
    host.hold(part, "dm-0")
    host.mount("8:17", "/media/my card")
    host.mount("253:0", "/srv")
    host.mount("0:45", "/btrfs", source="/dev/sdb1")
    host.mount("8:1", "/elsewhere", source="/dev/sda1")
    found = disk_numbered(os.makedev(8, 16), host.root)
    assert found is not None
    assert found.mounts == ("/media/my card", "/srv", "/btrfs")
    assert found.holders == ("dm-0",)


@pytest.mark.parametrize("device", ["/dev/sdb2", "/dev/dm-0"])
def test_swap_is_seen_on_a_partition_and_on_what_is_built_on_it(host: Host, device: str) -> None:
    disk = host.add()
    host.hold(host.add_partition("sdb1", "8:17", disk), "dm-0")
    host.add_partition("sdb2", "8:18", disk)
    host.add("dm-0", "253:0", bus="virtual")
    before = disk_numbered(os.makedev(8, 16), host.root)
    host.swap(device)
    after = disk_numbered(os.makedev(8, 16), host.root)
    assert before is not None
    assert after is not None
    assert (before.swap, after.swap) == (False, True)


def test_partition_is_no_disk_but_knows_its_own(host: Host) -> None:
    host.add_partition("sdb1", "8:17", host.add())
    assert disk_numbered(os.makedev(8, 17), host.root) is None
    assert parent_of_partition(os.makedev(8, 17), host.root) == "/dev/sdb"
    assert parent_of_partition(os.makedev(8, 16), host.root) is None
    assert disk_numbered(os.makedev(8, 32), host.root) is None


def test_what_a_device_says_of_itself_cannot_steer_a_terminal(host: Host) -> None:
    host.add(vendor="\x1b[2JEvil\x07", model="\x9b31m \u202egnp")
    (disk,) = disks(host.root)
    assert (disk.vendor, disk.model) == ("[2JEvil", "31m gnp")


def test_files_that_are_missing_or_hold_nonsense_count_as_nothing(host: Host, tmp_path: Path) -> None:
    folder = host.add(vendor="", model="", size="many", removable="-1")
    (folder / "device/type").unlink()
    (folder / "queue/logical_block_size").unlink()
    (disk,) = disks(host.root)
    assert (disk.title, disk.size_bytes, disk.sector_bytes, disk.removable) == ("unnamed", 0, 0, False)
    assert disks(tmp_path / "no such host") == []


def test_a_stack_that_goes_round_ends(host: Host) -> None:
    disk = host.add()
    host.hold(disk, "sdb")
    assert disks(host.root)[0].holders == ()


def test_the_real_root_of_a_faked_file_system_is_searched(fs: FakeFilesystem) -> None:
    """The whole path with ``/`` as root, on pyfakefs; it cannot fake the opening of a device."""
    folder = "/sys/devices/pci0000:00/usb2/2-1/host6/block/sdc"
    for path, text in {"dev": "8:32", "removable": "1", "size": "250880", "device/model": "CF Reader"}.items():
        fs.create_file(f"{folder}/{path}", contents=f"{text}\n")
    fs.create_symlink("/sys/block/sdc", "../devices/pci0000:00/usb2/2-1/host6/block/sdc")
    fs.create_symlink("/sys/dev/block/8:32", "../../devices/pci0000:00/usb2/2-1/host6/block/sdc")
    fs.create_file("/proc/self/mountinfo", contents="29 27 8:32 / /media/card rw - vfat /dev/sdc rw\n")
    (disk,) = disks(Path("/"))
    assert (disk.device, disk.title, disk.size_bytes) == ("/dev/sdc", "CF Reader", 250_880 * 512)
    assert disk.usb
    assert disk.mounts == ("/media/card",)
    assert disk_numbered(os.makedev(8, 32), Path("/")) == disk
