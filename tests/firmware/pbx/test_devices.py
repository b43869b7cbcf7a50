"""Device entries: kept by hardware id, one atomic step each."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from firmware.errors import CommandError
from firmware.pbx.devices import LARGEST_NUMBER, DeviceEntry, DeviceList


class FakeStore:
    """A dictionary. Not modelled: flash."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.commits = 0

    def get(self, name: str) -> bytes | None:
        return self.values.get(name)

    def names(self, prefix: str = "") -> list[str]:
        return [name for name in self.values if name.startswith(prefix)]

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        self.commits += 1
        for name, value in changes.items():
            if value is None:
                self.values.pop(name, None)
            else:
                self.values[name] = value


@pytest.fixture
def devices() -> DeviceList:
    return DeviceList(FakeStore())


def test_an_entry_is_found_whatever_the_case_of_its_hardware_id(devices: DeviceList) -> None:
    devices.add(DeviceEntry("ip232-30-00-AF", "alice", tls_only=True))
    assert devices.find("IP232-30-00-af") == DeviceEntry("IP232-30-00-af", "alice", tls_only=True)
    assert [entry.name for entry in devices.entries()] == ["alice"]


def test_a_removed_entry_is_gone_and_the_others_stay(devices: DeviceList) -> None:
    devices.add(DeviceEntry("IP232-30-00-af", "alice", tls_only=True))
    devices.add(DeviceEntry("IP232-30-00-b0", "bob", tls_only=False))
    assert devices.remove("IP232-30-00-af").name == "alice"
    assert devices.entries() == [DeviceEntry("IP232-30-00-b0", "bob", tls_only=False)]
    with pytest.raises(CommandError, match="no device entry for IP232-30-00-af"):
        devices.find("IP232-30-00-af")


def test_a_device_has_one_entry_only(devices: DeviceList) -> None:
    devices.add(DeviceEntry("IP232-30-00-af", "alice", tls_only=False))
    with pytest.raises(CommandError, match="has a device entry already: alice"):
        devices.add(DeviceEntry("ip232-30-00-af", "bob", tls_only=False))


@pytest.mark.parametrize(
    ("hardware_id", "reason"),
    [
        ("", "0 characters"),
        ("a" * 65, "65 characters, must be 1 to 64"),
        ("IP232/30", "letters, digits"),
        ("IP232-30\n-00", "letters, digits"),
        ("IP232-3²", "letters, digits"),
    ],
)
def test_a_hardware_id_that_cannot_be_one_is_refused(devices: DeviceList, hardware_id: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        devices.add(DeviceEntry(hardware_id, "alice", tls_only=False))
    assert devices.entries() == []


def test_the_list_is_bounded() -> None:
    store = FakeStore()
    store.values = {f"pbx/device/D{number}": b"any x" for number in range(LARGEST_NUMBER)}
    with pytest.raises(CommandError, match="limit 1000"):
        DeviceList(store).add(DeviceEntry("ONE-MORE", "alice", tls_only=False))


# -- by object


class CountingStore(FakeStore):
    """Counts what is read. Not modelled: flash."""

    reads = 0

    def get(self, name: str) -> bytes | None:
        self.reads += 1
        return super().get(name)


def ids(devices: DeviceList, name: str) -> list[str]:
    return [entry.hardware_id for entry in devices.of(name)]


def test_entries_of_an_object_come_in_the_order_of_their_hardware_ids(devices: DeviceList) -> None:
    assert devices.of("alice") == []
    for hardware_id, name in (("IP232-b0", "alice"), ("IP232-AF", "alice"), ("IP232-c1", "bob")):
        devices.add(DeviceEntry(hardware_id, name, tls_only=True))
    assert devices.of("alice") == [
        DeviceEntry("IP232-af", "alice", tls_only=True),
        DeviceEntry("IP232-b0", "alice", tls_only=True),
    ]
    assert ids(devices, "bob") == ["IP232-c1"]


def test_who_has_them_is_known_however_they_change(devices: DeviceList) -> None:
    devices.add(DeviceEntry("A-1", "alice", tls_only=True))
    assert ids(devices, "alice") == ["A-1"]
    devices.remove("A-1")
    assert ids(devices, "alice") == []
    devices.add(DeviceEntry("A-1", "bob", tls_only=False))
    assert (ids(devices, "alice"), ids(devices, "bob")) == ([], ["A-1"])


def test_what_one_list_changes_another_of_the_same_index_knows() -> None:
    store = FakeStore()
    asked = DeviceList(store)
    changed = DeviceList(store, asked.index)
    changed.add(DeviceEntry("A-1", "alice", tls_only=True))
    assert ids(asked, "alice") == ["A-1"]
    changed.add(DeviceEntry("A-2", "alice", tls_only=True))
    changed.remove("A-1")
    assert ids(asked, "alice") == ["A-2"]


def test_a_change_that_could_not_be_stored_is_none() -> None:
    class FullStore(FakeStore):
        """One that takes nothing more. Not modelled: flash."""

        def commit(self, changes: Mapping[str, bytes | None]) -> None:
            raise CommandError("no room")

    devices = DeviceList(FullStore())
    assert devices.of("alice") == []
    with pytest.raises(CommandError, match="no room"):
        devices.add(DeviceEntry("A-1", "alice", tls_only=True))
    assert devices.of("alice") == []


def test_flash_is_read_once_however_many_objects_are_asked_for() -> None:
    store = CountingStore()
    for number in range(10):
        DeviceList(store).add(DeviceEntry(f"A-{number}", f"user{number}", tls_only=False))
    devices, store.reads = DeviceList(store), 0
    for number in range(20):
        devices.of(f"user{number}")
    assert store.reads == 10
