"""The trust list over a store in memory: order, atomicity, limits, damage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from firmware.errors import CommandError
from firmware.storage import StorageDamaged
from firmware.x509 import Certificate, PrivateKey
from firmware.x509.builder import CertificateTemplate, issue
from firmware.x509.trust import LARGEST_NUMBER, PREFIX, TrustList


@dataclass
class FakeStore:
    """A dict in place of the flash store. Not modelled: limits of names and values."""

    content: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    reads: int = 0
    full: bool = False
    rotten: set[str] = field(default_factory=set)

    def get(self, name: str) -> bytes | None:
        self.reads += 1
        if name in self.rotten:
            raise StorageDamaged(f"value of {name} has checksum 0 instead of 1")
        return self.content.get(name)

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.content if name.startswith(prefix))

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        if self.full:
            raise CommandError("flash is full")
        self.commits += 1
        for name, value in changes.items():
            if value is None:
                self.content.pop(name, None)
            else:
                self.content[name] = value


@pytest.fixture
def make(template: CertificateTemplate, keys: Mapping[int, PrivateKey]) -> Callable[[int], Certificate]:
    """Roots that differ in their serial number."""
    return lambda serial: issue(replace(template, serial=serial), keys[1024])


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def trust(store: FakeStore) -> TrustList:
    return TrustList(store)


def sha1s(trust: TrustList) -> list[str]:
    return list(trust.certificates())


def test_several_certificates_are_one_step(
    trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]
) -> None:
    added = trust.add([make(1), make(2), make(1)])
    assert [certificate.serial for certificate in added] == [1, 2]
    assert store.commits == 1
    assert trust.add([make(2)]) == []
    assert store.commits == 1


def test_the_list_is_in_the_order_of_fingerprints_before_and_after_a_restart(
    trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]
) -> None:
    trust.add([make(serial) for serial in range(1, 5)])
    trust.add([make(5)])
    assert sha1s(trust) == sorted(sha1s(trust))
    assert sha1s(TrustList(store)) == sha1s(trust)


def test_a_change_is_counted_and_a_look_is_not(trust: TrustList, make: Callable[[int], Certificate]) -> None:
    revision = trust.revision
    trust.add([make(1)])
    assert trust.revision == revision + 1
    trust.add([make(1)])
    trust.certificates()
    assert trust.revision == revision + 1
    trust.remove(sha1s(trust))
    assert trust.revision == revision + 2


def test_adding_reads_nothing_again(trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]) -> None:
    trust.add([make(serial) for serial in range(1, 20)])
    reads = store.reads
    trust.add([make(20)])
    trust.certificates()
    assert store.reads == reads


def test_a_long_list_is_read_in_parts(trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]) -> None:
    trust.add([make(serial) for serial in range(1, 11)])
    again = TrustList(store)
    assert again.unread == 10
    assert again.read(4) == 4
    assert again.unread == 6
    assert sha1s(again) == sha1s(trust)
    assert again.unread == again.read(4) == 0


def test_removal_is_all_or_nothing(trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]) -> None:
    trust.add([make(1), make(2), make(3)])
    one, two, three = sha1s(trust)
    with pytest.raises(CommandError, match="no certificate with sha1 'abcd'"):
        trust.remove([one, "abcd"])
    assert sha1s(trust) == [one, two, three]
    commits = store.commits
    assert trust.remove([one, three]) == ["CN=Test Root", "CN=Test Root"]
    assert store.commits == commits + 1
    assert sha1s(trust) == sha1s(TrustList(store)) == [two]


def test_fingerprints_are_found_however_they_are_written(trust: TrustList, make: Callable[[int], Certificate]) -> None:
    certificate = make(1)
    trust.add([certificate])
    digits = certificate.fingerprint("sha1").upper()
    assert trust.find(":".join(digits[i : i + 2] for i in range(0, 40, 2))) == certificate


def test_a_full_list_takes_none_of_what_is_too_much(
    store: FakeStore, make: Callable[[int], Certificate], root: Certificate
) -> None:
    store.content = {f"{PREFIX}{number:040x}": root.der for number in range(LARGEST_NUMBER - 1)}
    trust = TrustList(store)
    with pytest.raises(CommandError, match="999 certificates on the trust list and 2 new, limit 1000"):
        trust.add([make(1), make(2)])
    assert len(store.content) == LARGEST_NUMBER - 1
    trust.add([make(1)])
    assert len(trust.certificates()) == LARGEST_NUMBER


def test_a_full_flash_leaves_list_and_revision_as_they_were(
    trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]
) -> None:
    trust.add([make(1)])
    before, revision = sha1s(trust), trust.revision
    store.full = True
    for change in (lambda: trust.add([make(2)]), lambda: trust.remove(before), trust.clear):
        with pytest.raises(CommandError, match="flash is full"):
            change()
    assert (sha1s(trust), trust.revision) == (before, revision)


def test_a_damaged_entry_does_not_take_the_others_along_and_can_be_removed(
    trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]
) -> None:
    trust.add([make(1), make(2), make(3)])
    rotten, cut, good = sha1s(trust)
    store.rotten = {PREFIX + rotten}
    store.content[PREFIX + cut] = store.content[PREFIX + cut][:-1]
    again = TrustList(store)
    assert sha1s(again) == [good]
    assert set(again.damaged) == {rotten, cut}
    assert again.remove([rotten, good]) == ["damaged entry", "CN=Test Root"]
    assert set(again.damaged) == {cut}
    assert store.names(PREFIX) == [PREFIX + cut]


def test_a_damaged_entry_is_mended_by_adding_its_certificate_again(
    store: FakeStore, make: Callable[[int], Certificate]
) -> None:
    certificate = make(1)
    store.content[PREFIX + certificate.fingerprint("sha1")] = b"\x30\x00"
    trust = TrustList(store)
    assert trust.certificates() == {}
    assert trust.add([certificate]) == [certificate]
    assert trust.damaged == {}


def test_clearing_removes_damaged_entries_too(
    trust: TrustList, store: FakeStore, make: Callable[[int], Certificate]
) -> None:
    trust.add([make(1), make(2)])
    store.content[PREFIX + "00" * 20] = b"nonsense"
    store.content["X509/device/CHAIN"] = b"something else"
    again = TrustList(store)
    assert again.clear() == 3
    assert (sha1s(again), again.damaged) == ([], {})
    assert [*store.content] == ["X509/device/CHAIN"]
    assert again.clear() == 0
