"""The cabinet over a store in memory: what stands in for what, single steps, secrets, domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from firmware.errors import CertificateError, CommandError
from firmware.x509 import Certificate, CertificateOrder, DistinguishedName, Identity, PrivateKey, signing_request
from firmware.x509.builder import CertificateTemplate, device_extensions, issue
from firmware.x509.cabinet import (
    BUILTIN,
    DEFAULT,
    DEVICE,
    LARGEST_NUMBER_OF_APPLICATIONS,
    Cabinet,
    is_secret,
    shown_target,
    target_from_text,
)


@dataclass
class FakeStore:
    """A dict in place of the flash store. Not modelled: limits."""

    content: dict[str, bytes] = field(default_factory=dict)
    steps: list[dict[str, bytes | None]] = field(default_factory=list)

    def get(self, name: str) -> bytes | None:
        return self.content.get(name)

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.content if name.startswith(prefix))

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        self.steps.append(dict(changes))
        for name, value in changes.items():
            if value is None:
                self.content.pop(name, None)
            else:
                self.content[name] = value


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def cabinet(store: FakeStore) -> Cabinet:
    return Cabinet(store)


@pytest.fixture
def certificate_for(template: CertificateTemplate, keys: Mapping[int, PrivateKey]) -> Callable[..., Certificate]:
    """A certificate of a key, issued by the root, for a name."""

    def make(key: PrivateKey, common_name: str = "gw", dns_names: tuple[str, ...] = (), serial: int = 7) -> Certificate:
        order = CertificateOrder(DistinguishedName(common_name=common_name), dns_names=dns_names)
        root_key = keys[1024]
        extensions = device_extensions(order, key.public_key, root_key.public_key.key_id())
        subject = order.subject.name()
        return issue(
            replace(template, subject=subject, spki=key.spki(), serial=serial, extensions=extensions), root_key
        )

    return make


@pytest.fixture
def identity(other_key: PrivateKey, root: Certificate, certificate_for: Callable[..., Certificate]) -> Identity:
    return Identity((certificate_for(other_key), root), other_key)


def test_the_device_certificate_goes_before_the_built_in_one_and_that_before_the_default(
    cabinet: Cabinet, identity: Identity
) -> None:
    assert cabinet.in_use() is None
    for source in (DEFAULT, BUILTIN, DEVICE):
        cabinet.install(source, identity)
        assert cabinet.in_use() == source
    cabinet.clear(DEVICE)
    assert cabinet.in_use() == BUILTIN


def test_an_installation_is_one_step_and_reads_back(cabinet: Cabinet, store: FakeStore, identity: Identity) -> None:
    cabinet.install(DEVICE, identity)
    assert len(store.steps) == 1
    again = Cabinet(store)
    assert again.chain(DEVICE) == identity.chain
    assert again.key(DEVICE) == identity.key
    credentials = again.credentials(DEVICE)
    assert credentials is not None
    assert credentials.chain_der == tuple(certificate.der for certificate in identity.chain)


def test_an_answer_takes_its_request_away_in_the_same_step(
    cabinet: Cabinet, store: FakeStore, identity: Identity, order: CertificateOrder
) -> None:
    cabinet.keep_request(DEVICE, signing_request(order, identity.key), identity.key)
    cabinet.keep_response(0, identity.leaf.der)
    cabinet.install(DEVICE, identity, answers_request=True)
    assert sorted(store.content) == ["X509/device/CHAIN", "X509/device/KEY"]
    assert len(store.steps) == 3


def test_an_answer_fits_the_pending_request_before_the_old_key(
    cabinet: Cabinet, identity: Identity, order: CertificateOrder
) -> None:
    cabinet.install(DEVICE, identity)
    assert cabinet.answer(DEVICE, identity.chain) == (identity, False)
    cabinet.keep_request(DEVICE, signing_request(order, identity.key), identity.key)
    assert cabinet.answer(DEVICE, identity.chain) == (identity, True)


def test_a_strangers_certificate_answers_nothing(
    cabinet: Cabinet, identity: Identity, third_key: PrivateKey, certificate_for: Callable[..., Certificate]
) -> None:
    cabinet.install(DEVICE, identity)
    with pytest.raises(CommandError, match="fits no private key on the box: no signing request"):
        cabinet.answer(DEVICE, [certificate_for(third_key)])


def test_an_answer_with_a_gap_is_refused(
    cabinet: Cabinet, identity: Identity, order: CertificateOrder, third_key: PrivateKey, template: CertificateTemplate
) -> None:
    cabinet.keep_request(DEVICE, signing_request(order, identity.key), identity.key)
    stranger = issue(
        replace(
            template,
            spki=third_key.spki(),
            subject=DistinguishedName(common_name="s").name(),
            issuer=DistinguishedName(common_name="s").name(),
        ),
        third_key,
    )
    with pytest.raises(CertificateError, match="gap in the chain"):
        cabinet.answer(DEVICE, [identity.leaf, stranger])


def test_every_key_is_a_secret_and_nothing_else_is() -> None:
    for name in ("X509/device/KEY", "X509/builtin/KEY", "X509/app/example.com/REQUESTKEY"):
        assert is_secret(name), name
    for name in ("X509/device/CHAIN", "X509/TRUST/00", "config/X509", "vars/KEY"):
        assert not is_secret(name), name


def test_names_that_strangers_ask_for_are_not_remembered(cabinet: Cabinet) -> None:
    for number in range(100):
        assert cabinet.chain(f"app/d{number}.example.com") == ()
        assert not cabinet.is_read(f"app/d{number}.example.com")


def test_a_certificate_is_found_by_its_common_name_then_by_an_alternative_name(
    cabinet: Cabinet, other_key: PrivateKey, third_key: PrivateKey, certificate_for: Callable[..., Certificate]
) -> None:
    first = certificate_for(other_key, "a.example.com", ("b.example.com", "C.example.com"))
    second = certificate_for(third_key, "b.example.com")
    cabinet.install("app/a.example.com", Identity((first,), other_key))
    cabinet.install("app/z.example.com", Identity((second,), third_key))
    assert cabinet.application_for("A.Example.Com.") == "app/a.example.com"
    assert cabinet.application_for("b.example.com") == "app/z.example.com"
    assert cabinet.application_for("c.example.com") == "app/a.example.com"
    assert cabinet.application_for("d.example.com") is None
    cabinet.clear("app/z.example.com")
    assert cabinet.application_for("b.example.com") == "app/a.example.com"


def test_a_pending_request_makes_a_domain_known_without_a_certificate(
    cabinet: Cabinet, other_key: PrivateKey, order: CertificateOrder
) -> None:
    cabinet.keep_request("app/example.com", signing_request(order, other_key), other_key)
    assert cabinet.applications() == ["example.com"]
    assert cabinet.application_for("example.com") is None
    assert cabinet.in_use("app/example.com") is None


def test_only_so_many_domains_have_certificates(
    cabinet: Cabinet, other_key: PrivateKey, order: CertificateOrder, identity: Identity
) -> None:
    for number in range(LARGEST_NUMBER_OF_APPLICATIONS):
        cabinet.install(f"app/d{number}", identity)
    request = signing_request(order, other_key)
    with pytest.raises(CommandError, match="10 application certificates, limit 10"):
        cabinet.keep_request("app/more", request, other_key)
    with pytest.raises(CommandError, match="limit 10"):
        cabinet.install("app/more", identity)
    cabinet.keep_request("app/d3", request, other_key)
    cabinet.install(DEVICE, identity)


def test_responses_are_kept_as_they_came_until_they_are_refused(cabinet: Cabinet, store: FakeStore) -> None:
    cabinet.keep_response(1, b"one")
    cabinet.keep_response(0, b"zero")
    assert cabinet.responses() == {0: b"zero", 1: b"one"}
    with pytest.raises(CommandError, match="certificate 10 of an answer: must be 0 to 9"):
        cabinet.keep_response(10, b"ten")
    steps = len(store.steps)
    cabinet.refuse_responses("does not fit")
    assert len(store.steps) == steps + 1
    assert (cabinet.responses(), cabinet.request_error) == ({}, "does not fit")
    cabinet.clear_request_error()
    assert store.content == {}


def test_targets_are_the_device_and_domain_names() -> None:
    assert target_from_text("Device") == DEVICE
    assert target_from_text("SIP.Example.com.") == "app/sip.example.com"
    assert shown_target("app/sip.example.com") == "sip.example.com"
    for text in ("", ".", "a..b", "a b", "a/b", "../x", "b\u00fccher.example", "x" * 65):
        with pytest.raises(CommandError, match="neither device nor a domain name"):
            target_from_text(text)
