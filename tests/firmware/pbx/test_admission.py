"""Who may register as which object."""

from __future__ import annotations

import pytest

from firmware.errors import CommandError, RequestError
from firmware.pbx.admission import admitted
from firmware.pbx.devices import DeviceEntry

ALICE = DeviceEntry("IP232-30-00-af", "alice", tls_only=True)
BOB = DeviceEntry("IP232-30-00-b0", "bob", tls_only=False)


class FakeDevices:
    """A list of entries. Not modelled: flash, upper and lower case."""

    def __init__(self, *entries: DeviceEntry) -> None:
        self._entries = list(entries)

    def find(self, hardware_id: str) -> DeviceEntry:
        for entry in self._entries:
            if entry.hardware_id == hardware_id:
                return entry
        raise CommandError("no device entry")

    def of(self, name: str) -> list[DeviceEntry]:
        return [entry for entry in self._entries if entry.name == name]


DEVICES = FakeDevices(ALICE, BOB)


@pytest.mark.parametrize(
    ("user", "common_name", "entry"),
    [
        ("alice", "IP232-30-00-af", ALICE),
        ("bob", "IP232-30-00-b0", BOB),
        ("bob", None, BOB),
        ("bob", "IP232-30-00-af", BOB),
        ("bob", "somebody else", BOB),
    ],
)
def test_certificate_and_entry_say_who_may(user: str, common_name: str | None, entry: DeviceEntry) -> None:
    assert admitted(DEVICES, user, common_name) is entry


@pytest.mark.parametrize(
    ("user", "common_name", "status", "text"),
    [
        ("alice", None, 403, "alice registers over TLS, with the certificate of its device"),
        ("alice", "IP232-30-00-b0", 403, "IP232-30-00-b0 may register as bob only"),
        ("alice", "IP232-30-00-b1", 403, "no device entry for IP232-30-00-b1"),
        ("carol", "IP232-30-00-af", 403, "IP232-30-00-af may register as alice only"),
        ("carol", None, 404, "no device entry for an object carol"),
        ("", None, 404, "no device entry for an object "),
        ("Alice", "IP232-30-00-af", 403, "IP232-30-00-af may register as alice only"),
    ],
)
def test_who_may_not_is_told_why(user: str, common_name: str | None, status: int, text: str) -> None:
    with pytest.raises(RequestError) as refused:
        admitted(DEVICES, user, common_name)
    assert (refused.value.status, str(refused.value)) == (status, text)


def test_a_removed_entry_ends_the_right_whatever_the_certificate_says() -> None:
    with pytest.raises(RequestError, match="no device entry for IP232-30-00-af"):
        admitted(FakeDevices(BOB), "alice", "IP232-30-00-af")


def test_a_foreign_name_cannot_break_out_of_the_answer() -> None:
    with pytest.raises(RequestError) as refused:
        admitted(DEVICES, "x\r\nContact: <sip:evil>" + 100 * "y", None)
    assert "\r" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 120
