"""The registrar: what a REGISTER changes in its table, what it answers, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import RequestError
from firmware.sip import Registrar, SipError, SipRequest
from firmware.sip.registrar import (
    LARGEST_NUMBER_OF_BINDINGS,
    LARGEST_NUMBER_PER_USER,
    LONGEST_EXPIRES_S,
    SHORTEST_EXPIRES_S,
)

CONTACT = "<sips:alice@phone>"
INSTANCE = '<sips:alice@phone:{port}>;+sip.instance="<urn:uuid:1>";reg-id=1'


class Desk:
    """A registrar with a clock, at which everybody but ``mallory`` may register."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.told: list[tuple[str, int | str]] = []
        self.sooner = 0
        self.registrar = Registrar(
            self._admit, lambda: self.now_ns, lambda name, value: self.told.append((name, value)), self._come_sooner
        )
        self.flow = self.registrar.flow("tls", "IP232-30-00-af")
        self._cseq = 0

    def _admit(self, user: str, common_name: str | None) -> str:
        if user == "mallory":
            raise RequestError(403, "no device entry for mallory's phone")
        return common_name or "any"

    def _come_sooner(self) -> None:
        self.sooner += 1

    def request(self, *contacts: str, user: str = "alice", cseq: int | None = None, **headers: str) -> SipRequest:
        """A REGISTER that is in order but for what is said."""
        self._cseq += 1
        fields = {"from": f"<sips:{user}@box>;tag=1", "to": f"<sips:{user}@box>", "call-id": "c1"}
        fields["cseq"] = f"{self._cseq if cseq is None else cseq} REGISTER"
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        pairs = [*fields.items(), *(("contact", contact) for contact in contacts)]
        return SipRequest("REGISTER", "sips:box", "SIP/2.0", tuple(pairs))

    def register(self, *contacts: str, flow: Any = None, **what: Any) -> list[tuple[str, str]]:
        return list((flow or self.flow).register(self.request(*contacts, **what)))

    def refused(self, *contacts: str, **what: Any) -> SipError:
        """The refusal of a REGISTER, which changes nothing."""
        before = self.registrar.bindings.all()
        with pytest.raises(SipError) as error:
            self.register(*contacts, **what)
        assert self.registrar.bindings.all() == before
        return error.value

    def contacts(self) -> list[str]:
        return [binding.contact for binding in self.registrar.bindings.all()]

    def pass_s(self, seconds: int) -> None:
        self.now_ns += seconds * 1_000_000_000


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_contact_is_bound_and_comes_back_with_its_time(desk: Desk) -> None:
    assert desk.register(CONTACT) == [("Contact", f"{CONTACT};expires=3600"), ("Expires", "3600")]
    (binding,) = desk.registrar.bindings.all()
    assert (binding.user, binding.aor, binding.contact) == ("alice", "sips:alice@box", "sips:alice@phone")
    assert (binding.hardware_id, binding.transport) == ("IP232-30-00-af", "tls")
    assert desk.told == [("binding", 1)]


@pytest.mark.parametrize(
    ("contact", "headers", "granted"),
    [
        (CONTACT, {"expires": "600"}, 600),
        (f"{CONTACT};expires=600", {"expires": "900"}, 600),
        (CONTACT, {"expires": "soon"}, 3_600),
        (CONTACT, {"expires": "99999999999"}, LONGEST_EXPIRES_S),
        (CONTACT, {"expires": str(SHORTEST_EXPIRES_S)}, SHORTEST_EXPIRES_S),
    ],
)
def test_the_time_asked_for_is_granted_within_limits(
    desk: Desk, contact: str, headers: dict[str, str], granted: int
) -> None:
    assert desk.register(contact, **headers)[0] == ("Contact", f"{CONTACT};expires={granted}")


def test_too_short_a_time_is_423_with_the_shortest(desk: Desk) -> None:
    error = desk.refused(CONTACT, expires=str(SHORTEST_EXPIRES_S - 1))
    assert (error.status, error.headers) == (423, (("Min-Expires", str(SHORTEST_EXPIRES_S)),))


def test_a_request_without_contact_asks_what_is_there(desk: Desk) -> None:
    assert desk.register() == []
    desk.register(CONTACT)
    desk.pass_s(10)
    assert desk.register() == [("Contact", f"{CONTACT};expires=3590")]


def test_expires_0_removes_one_contact_and_the_asterisk_all(desk: Desk) -> None:
    desk.register(CONTACT, "<sips:alice@desk>, <sips:alice@home>")
    assert len(desk.register(f"{CONTACT};expires=0")) == 2
    assert desk.contacts() == ["sips:alice@desk", "sips:alice@home"]
    assert desk.register("*", expires="0") == []
    assert desk.contacts() == []
    assert desk.told[-1] == ("binding", 0)


@pytest.mark.parametrize(
    ("contacts", "headers"), [(("*",), {}), (("*",), {"expires": "1"}), (("*", CONTACT), {"expires": "0"})]
)
def test_an_asterisk_with_anything_else_is_400(desk: Desk, contacts: tuple[str, ...], headers: dict[str, str]) -> None:
    desk.register(CONTACT)
    assert desk.refused(*contacts, **headers).status == 400


def test_a_request_that_was_overtaken_changes_nothing(desk: Desk) -> None:
    desk.register(CONTACT, cseq=5)
    for cseq in (4, 5):
        assert desk.refused(CONTACT, cseq=cseq, expires="0").status == 400
        assert desk.refused("*", cseq=cseq, expires="0").status == 400
    desk.register(CONTACT, cseq=1, call_id="after-a-power-cut", expires="600")
    assert len(desk.contacts()) == 1


def test_nothing_is_changed_when_one_of_several_contacts_is_wrong(desk: Desk) -> None:
    desk.register(CONTACT)
    assert desk.refused("<sips:alice@new>", f"{CONTACT};expires=0", "<sips:alice@bad>;expires=1").status == 423


def test_a_device_that_comes_again_takes_the_place_of_its_old_self(desk: Desk) -> None:
    """RFC 5626: the same instance and reg-id, over a new connection, from another port."""
    desk.register(INSTANCE.format(port=1), supported="path, outbound")
    old, again = desk.flow, desk.registrar.flow("tls", "IP232-30-00-af")
    headers = desk.register(INSTANCE.format(port=2), flow=again, call_id="new", supported="path, outbound")
    assert headers[0] == (
        "Contact",
        '<sips:alice@phone:2>;expires=3600;+sip.instance="<urn:uuid:1>";reg-id=1',
    )
    assert ("Require", "outbound") in headers
    old.close()
    assert desk.contacts() == ["sips:alice@phone:2"]


def test_outbound_is_only_promised_to_those_who_do_it(desk: Desk) -> None:
    assert "Require" not in dict(desk.register(CONTACT, supported="outbound"))
    assert "Require" not in dict(desk.register(INSTANCE.format(port=1)))


def test_a_binding_ends_with_its_connection(desk: Desk) -> None:
    other = desk.registrar.flow("tcp", None)
    desk.register(CONTACT)
    desk.register("<sip:bob@phone>", user="bob", flow=other)
    desk.flow.close()
    assert desk.contacts() == ["sip:bob@phone"]
    assert desk.told[-1] == ("binding", 1)
    assert desk.registrar.counts.lost == 1
    desk.flow.close()
    assert desk.registrar.counts.lost == 1


def test_a_binding_ends_when_it_is_not_renewed(desk: Desk) -> None:
    desk.register(CONTACT, expires="100")
    desk.pass_s(60)
    desk.register(CONTACT, expires="100")
    desk.pass_s(99)
    assert desk.registrar.expire() == 160_000_000_000
    desk.pass_s(1)
    assert desk.registrar.expire() is None
    assert desk.contacts() == []
    assert desk.told[-1] == ("expired", 0)


def test_whoever_waits_for_the_next_end_hears_of_an_earlier_one(desk: Desk) -> None:
    desk.register(CONTACT)
    assert desk.sooner == 1
    desk.registrar.expire()
    desk.register("<sips:alice@later>", expires="7200")
    assert desk.sooner == 1
    desk.register("<sips:alice@sooner>", expires="60")
    assert desk.sooner == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"user": "mallory"}, 403),
        ({"from": "<sips:bob@box>"}, 403),
        ({"to": "<sips:box>", "from": "<sips:box>"}, 400),
        ({"to": "<tel:1>"}, 416),
        ({"to": "<sips:a@b>, <sips:a@b>"}, 400),
        ({"from": "nonsense"}, 400),
        ({"call_id": "x" * 300}, 400),
    ],
)
def test_who_and_what_cannot_be_is_refused(desk: Desk, headers: dict[str, str], status: int) -> None:
    assert desk.refused(CONTACT, **headers).status == status
    assert desk.registrar.counts.refused == 1
    assert desk.told[-1][0] == "refused"


@pytest.mark.parametrize(
    "contact",
    [
        "nonsense",
        "<mailto:a@b>",
        f'{CONTACT};+sip.instance="<urn:1>";reg-id=0',
        f'{CONTACT};+sip.instance="<urn:1>";reg-id=x',
        f'{CONTACT};+sip.instance="{"x" * 200}"',
    ],
)
def test_contacts_that_cannot_be_are_refused(desk: Desk, contact: str) -> None:
    assert desk.refused(contact).status in (400, 416)


def test_an_object_has_only_so_many_contacts_and_may_still_renew_them(desk: Desk) -> None:
    for number in range(LARGEST_NUMBER_PER_USER):
        desk.register(f"<sips:alice@phone{number}>")
    assert desk.refused("<sips:alice@one-more>").status == 503
    desk.register("<sips:alice@phone0>")
    desk.register("<sips:alice@phone0>;expires=0")
    desk.register("<sips:alice@one-more>")


def test_the_table_has_a_limit_and_what_is_in_it_may_still_be_renewed(desk: Desk) -> None:
    for number in range(LARGEST_NUMBER_OF_BINDINGS):
        desk.register(f"<sips:u@phone{number}>", user=f"u{number // LARGEST_NUMBER_PER_USER}")
    error = desk.refused("<sips:alice@phone>")
    assert (error.status, str(error)) == (503, "2000 bindings already, limit 2000")
    desk.register("<sips:u@phone0>", user="u0")


def test_silence_is_allowed_for_as_long_as_the_registration_of_a_device_that_does_not_ping(desk: Desk) -> None:
    assert desk.flow.silence_ms() == 0
    desk.register(INSTANCE.format(port=1), supported="outbound")
    assert desk.flow.silence_ms() == 0
    desk.register(CONTACT)
    assert desk.flow.silence_ms() == 3_600_000


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), st.integers(0, 2), st.integers(0, 2), st.sampled_from([0, 60, 100])),
        st.tuples(st.just("all"), st.integers(0, 2), st.just(0), st.just(0)),
        st.tuples(st.just("close"), st.just(0), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.just(0), st.sampled_from([1, 59, 60])),
    ),
    max_size=30,
)


@given(STEPS)
def test_the_table_is_what_a_plain_list_would_be(steps: list[tuple[str, int, int, int]]) -> None:
    desk = Desk()
    flows = [desk.registrar.flow("tls", None) for _ in range(3)]
    plain: dict[tuple[str, int], tuple[int, int]] = {}  # (user, phone) -> (end in ns, flow)
    for what, user, number, seconds in steps:
        name = f"u{user}"
        if what == "register":
            desk.register(f"<sips:{name}@p{number}>;expires={seconds}", user=name, flow=flows[number])
            plain[name, number] = (desk.now_ns + seconds * 10**9, number)
        elif what == "all":
            desk.register("*", user=name, expires="0")
            plain = {key: value for key, value in plain.items() if key[0] != name}
        elif what == "close":
            flows[number].close()
            plain = {key: value for key, value in plain.items() if value[1] != number}
        else:
            desk.pass_s(seconds)
            desk.registrar.expire()
        plain = {key: value for key, value in plain.items() if value[0] > desk.now_ns}
        assert sorted(desk.contacts()) == sorted(f"sips:{user}@p{phone}" for user, phone in plain)
        assert len(desk.registrar.bindings) == len(plain)
