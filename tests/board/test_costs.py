"""The cost table keeps the reference text's law, and grows with whatever grows."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.costs import BLOCKS, CostTable, cost_table_from_file
from board.errors import ModelError
from board.model import MODELS, model_named

PPC = MODELS / "costs" / "ppc.toml"


@pytest.fixture(scope="module")
def costs() -> CostTable:
    return cost_table_from_file(PPC)


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """A file beside which nothing else is; a test writes its own variation of the table into it."""
    return tmp_path / "mine.toml"


def test_a_server_handshake_costs_6_times_as_much_per_doubling_and_36_times_in_all(costs: CostTable) -> None:
    handshakes = [costs.rsa_private(bits) + costs.handshake for bits in (1024, 2048, 4096)]
    assert handshakes[1] / handshakes[0] == pytest.approx(6, rel=0.05)
    assert handshakes[2] / handshakes[0] == pytest.approx(36, rel=0.05)


def test_sha384_and_sha512_cost_more_than_the_shorter_hashes(costs: CostTable) -> None:
    signed_part = 700
    short = max(costs.digest(name, signed_part) for name in ("md5", "sha1", "sha224", "sha256"))
    long = min(costs.digest(name, signed_part) for name in ("sha384", "sha512"))
    assert long > 1.5 * short


def test_a_key_search_step_is_half_a_private_operation(costs: CostTable) -> None:
    for bits in (1024, 2048, 4096):
        assert costs.keygen(bits) == pytest.approx(costs.rsa_private(bits) / 2, rel=0.01)


def test_the_public_operation_is_cheap(costs: CostTable) -> None:
    for bits in (1024, 2048, 4096):
        assert costs.rsa_public(bits) * 10 < costs.rsa_private(bits)


@given(st.lists(st.integers(512, 16_384), min_size=2, unique=True))
def test_longer_keys_never_cost_less(sizes: list[int]) -> None:
    costs = model_named("ip800").costs
    for operation in (costs.rsa_private, costs.rsa_public, costs.keygen):
        cycles = [operation(bits) for bits in sorted(sizes)]
        assert all(shorter <= longer for shorter, longer in pairwise(cycles))


def test_a_length_in_between_lies_on_the_power_law(costs: CostTable) -> None:
    assert costs.rsa_private(1448) == pytest.approx((10_000_000 * 62_500_000) ** 0.5, rel=0.01), "1448 = sqrt(2) * 1024"
    assert costs.rsa_private(8192) == pytest.approx(377_500_000**2 / 62_500_000, rel=0.01)
    assert costs.rsa_private(512) == pytest.approx(10_000_000**2 / 62_500_000, rel=0.01)


def test_a_key_of_no_length_is_refused(costs: CostTable) -> None:
    with pytest.raises(ValueError, match="key length 0 bits"):
        costs.rsa_private(0)


@pytest.mark.parametrize(("size_bytes", "blocks"), [(0, 1), (55, 1), (56, 2), (119, 2), (120, 3)])
def test_sha256_is_charged_by_the_block_with_its_padding(costs: CostTable, size_bytes: int, blocks: int) -> None:
    assert costs.digest("sha256", size_bytes) == blocks * 64 * 65


@pytest.mark.parametrize(("size_bytes", "blocks"), [(0, 1), (111, 1), (112, 2)])
def test_sha512_is_charged_by_its_longer_block(costs: CostTable, size_bytes: int, blocks: int) -> None:
    assert costs.digest("sha512", size_bytes) == blocks * 128 * 155


def test_the_blocks_are_those_of_the_real_digests() -> None:
    assert {name: block for name, (block, _) in BLOCKS.items()} == {
        name: hashlib.new(name, usedforsecurity=False).block_size for name in BLOCKS
    }


def test_ciphers_are_charged_by_the_block(costs: CostTable) -> None:
    assert costs.cipher("aes128", 0) == 0
    assert costs.cipher("aes128", 1) == costs.cipher("aes128", 16) == 16 * 70
    assert costs.cipher("aes256", 17) == 32 * 95


def test_text_is_charged_by_the_byte(costs: CostTable) -> None:
    assert costs.parse(100) == 100 * costs.parse_per_byte > 0


def test_what_the_table_has_not_is_refused_by_name(costs: CostTable) -> None:
    with pytest.raises(ValueError, match="digest 'sha3': must be one of md5"):
        costs.digest("sha3", 1)
    with pytest.raises(ValueError, match="cipher 'des': must be one of aes128, aes256"):
        costs.cipher("des", 1)
    with pytest.raises(ValueError, match="group 'p384': must be one of p256, x25519"):
        costs.key_exchange("p384")


def test_every_section_has_a_source_and_says_what_is_assumed(costs: CostTable) -> None:
    assert all(len(source) > 10 for source in costs.sources.values())
    assert costs.assumed == {"handshake", "certificate", "switch", "command", "parse_per_byte"}


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("md5 = 20", "md5 = 0", "mine.toml: digest.md5 = 0: must be a whole number from 1"),
        ("md5 = 20", "md5 = 2.5", "mine.toml: digest.md5 = 2.5: must be a whole number"),
        ("md5 = 20", "md5 = true", "mine.toml: digest.md5 = True: must be a whole number"),
        ("md5 = 20", "", "mine.toml: digest.md5 is missing"),
        ("md5 = 20", "md5 = 20\nmd6 = 20", "mine.toml: digest.md6 = 20: there is no such field"),
        ("[switch]", "[swich]", "mine.toml: switch is missing"),
        ("1024 = 500_000", "many = 500_000", "mine.toml: rsa_public.many = 500000: a key length in bits is needed"),
        ("1024 = 500_000", "1024 = 5_000_000", "cost more the longer they are"),
        ('name = "ppc"', 'name = ""', "mine.toml: name = '': must be a text that is not empty"),
        ('name = "ppc"', "name = ", "is not a TOML file"),
    ],
)
def test_a_bad_file_is_refused_with_file_field_value_and_limit(
    spoilt: Path, before: str, after: str, complaint: str
) -> None:
    text = PPC.read_text()
    assert before in text
    spoilt.write_text(text.replace(before, after, 1))
    with pytest.raises(ModelError) as refusal:
        cost_table_from_file(spoilt)
    assert complaint in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none.toml: cannot be read: no such file"):
        cost_table_from_file(tmp_path / "none.toml")
