"""Clusters that open files take ahead: together on the card, nobody else's, back in time, and unseen until a flush."""

from __future__ import annotations

import pytest

from cfcard import Fault, FaultyDevice, LogLayer, RamDevice, VolumeFull
from cfcard.fat import Fat, Volume
from cfcard.fat.claims import Claims

PIECE = b"piece!!!" * 512


@pytest.fixture
def volume(card: RamDevice) -> Volume:
    return Fat().mount(card)


def runs(volume: Volume, path: str) -> list[tuple[int, int]]:
    return volume.runs_of(volume.tree.existing(path)[1])


def test_files_written_in_turns_lie_in_long_stretches(volume: Volume, card: RamDevice) -> None:
    with volume.open("/A", "wb") as a, volume.open("/B", "wb") as b:
        for _ in range(100):
            a.write(PIECE)
            b.write(PIECE[::-1])
    again = Fat().mount(card)
    assert again.read_file("/A") == PIECE * 100
    assert again.read_file("/B") == PIECE[::-1] * 100
    assert max(len(runs(again, "/A")), len(runs(again, "/B"))) < 16
    assert Fat().check(card).problems == ()


def test_what_was_taken_ahead_is_free_again_after_close(volume: Volume, card: RamDevice) -> None:
    free = volume.statvfs()[3]
    with volume.open("/A", "wb") as file:
        for _ in range(40):
            file.write(PIECE)
    clusters = -(-40 * len(PIECE) // volume.bpb.cluster_bytes)
    assert volume.statvfs()[3] == free - clusters
    assert Fat().check(card).free_clusters == free - clusters


def test_open_file_counts_with_what_it_needs_and_no_more(volume: Volume) -> None:
    free = volume.statvfs()[3]
    with volume.open("/A", "wb") as file:
        for written in range(1, 60):
            file.write(PIECE)
            if written % 13 == 0:
                assert volume.statvfs()[3] == free - -(-written * len(PIECE) // volume.bpb.cluster_bytes)


def test_last_cluster_goes_to_who_needs_it(volume: Volume, card: RamDevice) -> None:
    size, free = volume.statvfs()[0], volume.statvfs()[3]
    with volume.open("/A", "wb") as file:
        for _ in range(20):
            file.write(bytes(size))
        volume.replace("/REST", b"r" * (free - 21) * size)
        file.write(b"a" * size)
        with pytest.raises(VolumeFull, match="volume is full: 1 clusters wanted, 0 free"):
            file.write(b"b")
        with pytest.raises(VolumeFull):
            volume.replace("/MORE", b"m")
    assert volume.read_file("/A") == bytes(20 * size) + b"a" * size
    assert volume.read_file("/REST") == b"r" * (free - 21) * size
    assert Fat().check(card).problems == ()


def test_file_that_fills_the_volume_alone_gets_every_cluster(volume: Volume, card: RamDevice) -> None:
    size, free = volume.statvfs()[0], volume.statvfs()[3]
    with volume.open("/A", "wb") as file:
        for _ in range(free // 7):
            file.write(bytes(7 * size))
        file.write(bytes(free % 7 * size))
        with pytest.raises(VolumeFull):
            file.write(b"!")
    assert volume.stat("/A")[6] == free * size
    assert volume.statvfs()[3] == 0
    assert Fat().check(card).problems == ()


def test_holes_of_a_fragmented_volume_are_filled(volume: Volume, card: RamDevice) -> None:
    size, free = volume.statvfs()[0], volume.statvfs()[3]
    small = min(free - 40, 300)
    for number in range(small):
        volume.replace(f"/{number}", b"x")
    volume.replace("/FILL", bytes((volume.statvfs()[3]) * size))
    for number in range(0, small, 2):
        volume.remove(f"/{number}")
    content = bytes(range(256)) * (size * (small // 2 - 4) // 256)
    with volume.open("/A", "wb") as file:
        for at in range(0, len(content), 3000):
            file.write(content[at : at + 3000])
    assert Fat().mount(card).read_file("/A") == content
    assert len(runs(volume, "/A")) > 100
    assert Fat().check(card).problems == ()


def test_cut_leaves_no_trace_of_what_was_not_flushed(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.replace("/LOG", b"flushed" * 1000)
    file = volume.open("/LOG", "ab")
    for _ in range(50):
        file.write(PIECE)
    volume.replace("/CAKEY.PEM", b"somebody else's flush")
    # The card is pulled here.
    assert Fat().check(card).problems == ()
    again = Fat().mount(card)
    assert again.read_file("/LOG") == b"flushed" * 1000
    assert again.read_file("/CAKEY.PEM") == b"somebody else's flush"


def test_append_cut_anywhere_keeps_what_was_there(card: RamDevice) -> None:
    Fat().mount(card).replace("/LOG", b"flushed" * 1000)
    for at in range(1, 200):
        copy = card.copy()
        device = FaultyDevice(copy)
        volume = Fat().mount(device)
        device.arm(Fault.CUT, at)
        try:
            with volume.open("/LOG", "ab") as file:
                for _ in range(6):
                    file.write(PIECE)
        except OSError:
            pass
        found = Fat().mount(copy).read_file("/LOG")
        if not device.fired:
            assert found == b"flushed" * 1000 + PIECE * 6
            return
        assert found in (b"flushed" * 1000, b"flushed" * 1000 + PIECE * 6)
    raise AssertionError("the sweep did not come to its end")


def test_pieces_cost_their_own_sectors_alone(card: RamDevice) -> None:
    log = LogLayer(card, keep=False)
    volume = Fat().mount(log)
    with volume.open("/A", "wb") as file:
        file.write(PIECE)
        log.clear()
        for _ in range(255):
            file.write(PIECE)
        assert log.write_sectors == 255 * 8
        assert log.read_sectors <= 16, "another page of the FAT at most"
    fat_sectors = 256 * len(PIECE) // volume.bpb.cluster_bytes * volume.fat // 8 // 512 + 2
    assert log.write_sectors - 255 * 8 <= 2 * fat_sectors + 2, "each sector of the FATs once, the directory, FSInfo"


def test_claim_says_where_it_ends_and_where_the_next_begins() -> None:
    class FakeHolder:
        def __init__(self, *runs: tuple[int, int]) -> None:
            self.runs = runs
            self.put()

        def put(self) -> None:
            claims.put(self, sum(count for _, count in self.runs))

        def claimed(self) -> list[tuple[int, int]]:
            return list(self.runs)

        def give_back(self) -> None:
            self.runs = self.runs and ((10, 2),)
            self.put()

    claims = Claims()
    FakeHolder((30, 1), (10, 5))
    other = FakeHolder((15, 5))
    assert claims.count == 11
    assert claims.around(2)[1] == 10
    assert [claims.around(cluster)[0] for cluster in (9, 10, 14, 15, 19, 20, 30, 31)] == [9, 15, 15, 20, 20, 20, 31, 31]
    assert claims.around(20)[1] == 30
    other.runs = ()
    other.put()
    assert claims.around(10)[0] == 15
    assert claims.reclaim()
    assert claims.count == 2
    assert not claims.reclaim()
    assert claims.around(30)[0] == 30
