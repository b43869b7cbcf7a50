"""What a TLS connection costs: six times the CPU per doubling of the key length (reference text)."""

from __future__ import annotations

import pytest

from hil.console import Console
from hil.gateway import Gateway
from hil.tlsclient import TlsClient


def handshake_us(console: Console, board: Gateway, key: str, signature: str) -> int:
    """CPU time charged for one whole server handshake with such a certificate."""
    console.run(f"x509 servercert-create /key {key} /signature {signature} /dn-cn cost")
    console.run("x509 servercert-wait", timeout_ms=3_600_000)
    before = console.run("cpu mips-usage /json").json["tls"]["handshakes"]
    with TlsClient(board.connect(443)) as client:
        client.handshake()
        assert client.version == "TLSv1.2"
        assert not client.cipher.startswith("ECDHE"), "the law speaks of RSA key exchange"
    tls = console.run("cpu mips-usage /json").json["tls"]
    assert tls["handshakes"] == before + 1
    return int(tls["last_us"])


def test_a_connection_costs_6_times_as_much_per_doubling_and_36_times_for_4096_bits(
    console: Console, board: Gateway
) -> None:
    cost = {key: handshake_us(console, board, key, "SHA256") for key in ("1024-bit", "2048-bit", "4096-bit")}
    assert cost["2048-bit"] / cost["1024-bit"] == pytest.approx(6, rel=0.05)
    assert cost["4096-bit"] / cost["1024-bit"] == pytest.approx(36, rel=0.05)


def test_the_dearer_hashes_make_a_connection_dearer(console: Console, board: Gateway) -> None:
    handshake_us(console, board, "1024-bit", "SHA256")
    cheap = [handshake_us(console, board, "reuse", name) for name in ("SHA1", "SHA224", "SHA256")]
    dear = [handshake_us(console, board, "reuse", name) for name in ("SHA384", "SHA512")]
    assert max(cheap) < min(dear)


def test_longer_keys_take_longer_to_find_and_never_the_same_time(console: Console) -> None:
    cycles: dict[str, list[int]] = {}
    for key in ("1024-bit", "2048-bit"):
        for _ in range(6):
            before = console.run("cpu mips-usage /json").json["cycles"].get("keygen", 0)
            console.run(f"x509 servercert-create /key {key} /dn-cn search")
            console.run("x509 servercert-wait", timeout_ms=600_000)
            after = console.run("cpu mips-usage /json").json["cycles"]["keygen"]
            cycles.setdefault(key, []).append(after - before)
    assert len(set(cycles["1024-bit"])) > 1
    assert sum(cycles["2048-bit"]) > 3 * sum(cycles["1024-bit"])
