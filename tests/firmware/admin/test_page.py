"""The first page: what it says, that it is well-formed, and that nothing on it can be injected."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from firmware.admin import CardView, CertificateState, LoadView, ServiceView, entry_from_view, info_page
from firmware.admin.markup import element, join, xml_element
from firmware.admin.page import duration_words, fingerprint_words, size_words


class Outline(HTMLParser):
    """Reads a page: its elements, its text, and whether every element is closed where it should be."""

    VOID = frozenset(("meta", "link", "br", "hr", "img", "input", "wbr"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_says_who_the_device_is(box):
    text = Outline(info_page(box)).text
    for words in (
        "IP800-06-11-ac",
        "00-90-33-06-11-ac",
        "0.1.0",
        "3 d 04:05:06",
        "2023-11-14 22:13:20 UTC",
        "42 °C",
        "power-on",
    ):
        assert words in text


def test_the_page_shows_the_certificate_with_its_fingerprints(box):
    text = Outline(info_page(box)).text
    for words in (
        "CN=Device CA (itself)",
        "RSA, 1024 bits",
        "sha256WithRSAEncryption",
        "2034-01-01 00:00:00 UTC",
        "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD",
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
        ":".join(["AB"] * 32),
        "DNS:box.example, IP:192.0.2.1",
        "built-in, signed by the manufacturer",
    ):
        assert words in text


def test_every_certificate_of_the_chain_can_be_downloaded(box):
    links = [attributes["href"] for attributes in Outline(info_page(box)).all("a")]
    assert links == ["/cert.pem?index=0", "/cert.der?index=0", "/cert.pem?index=1", "/cert.der?index=1"]


def test_a_service_that_is_off_as_configured_is_nothing_bad(make_box):
    def marked(service):
        page = Outline(info_page(make_box(services=(service,))))
        assert "off" in page.text
        (pill,) = (each["class"] for each in page.all("li") if "pill" in (each.get("class") or ""))
        return pill, "bad" in [each.get("class") for each in page.all("span")]

    assert marked(ServiceView("HTTPS", 443, False, "no certificate")) == ("pill bad", True)
    assert marked(ServiceView("SIP", 5060, False, "as configured", wanted=False)) == ("pill", False)


def test_the_page_shows_load_and_services(box):
    page = Outline(info_page(box))
    for words in ("42 %", "14 %", "5 %", "200 MHz", "52.7 ms CPU time", "RSA private key", "98.5 %", "no certificate"):
        assert words in page.text
    assert [meter["value"] for meter in page.all("meter")] == ["0.420", "0.137", "0.050"]


def test_the_page_shows_the_card(box):
    text = Outline(info_page(box)).text
    for words in ("mounted", "64.0 MiB", "61.0 MiB", "CN=My CA"):
        assert words in text


def test_a_device_without_time_says_what_that_means(make_box):
    text = Outline(info_page(make_box(time_s=None))).text
    assert "The time is not set." in text
    assert "NTP" in text


def test_a_device_with_time_gives_no_warning(box):
    assert "The time is not set." not in info_page(box)


def test_the_page_reloads_itself_only_while_something_is_being_made(make_box, box):
    busy = make_box(certificate=CertificateState(busy="making a 1024-bit key, 40 tries"))
    page = Outline(info_page(busy))
    assert any(attributes.get("http-equiv") == "refresh" for attributes in page.all("meta"))
    assert "making a 1024-bit key, 40 tries" in page.text
    assert "There is no certificate." in page.text
    assert "http-equiv" not in info_page(box)


def test_a_device_that_did_nothing_yet_has_a_page(make_box):
    page = info_page(make_box(load=LoadView(200_000_000, 0, 0, 0), card=CardView("no slot"), services=()))
    assert "none yet" in Outline(page).text


ATTACK = "<script>alert(1)</script>\"'&\x00\u202e\ud800"


def test_nothing_from_a_certificate_or_a_card_can_become_markup(box, make_box):
    bad = replace(
        box.certificate.chain[0],
        subject=ATTACK,
        issuer=ATTACK,
        san=(ATTACK,),
        signature=ATTACK,
        serial=ATTACK,
        sha1=ATTACK,
    )
    page = info_page(
        make_box(
            netbios_name=ATTACK,
            notice=ATTACK,
            certificate=CertificateState((bad, bad), ATTACK, ATTACK),
            card=CardView(ATTACK, detail=ATTACK, root_ca=ATTACK),
        )
    )
    outline = Outline(page)
    assert outline.all("script") == []
    assert "<script>alert(1)</script>\"'&" in outline.text
    assert not {"\x00", "\u202e", "\ud800"} & set(page)
    page.encode("utf-8")


def test_the_page_needs_neither_script_nor_inline_style(box):
    page = Outline(info_page(box))
    assert page.all("script") == []
    assert page.all("style") == []
    for _, attributes in page.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_the_page_is_built_for_readers_of_every_kind(box):
    page = Outline(info_page(box))
    assert page.all("html")[0]["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("h1", "main", "header", "footer", "title")] == [1, 1, 1, 1, 1]
    assert any(attributes.get("name") == "viewport" for attributes in page.all("meta"))
    headings = {attributes["id"] for attributes in page.all("h2")}
    assert {section["aria-labelledby"] for section in page.all("section")} == headings
    assert all(attributes.get("scope") in ("row", "col") for attributes in page.all("th"))


def test_the_same_device_gives_the_same_page(box):
    assert info_page(box) == info_page(box)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "00:00:00"), (59, "00:00:59"), (86_399, "23:59:59"), (86_400, "1 d 00:00:00")]
)
def test_durations_in_words(seconds, words):
    assert duration_words(seconds) == words


def test_sizes_and_fingerprints_in_words():
    assert (size_words(10_240), size_words(1 << 20)) == ("10 KiB", "1.0 MiB")
    assert fingerprint_words("0a1b2c") == "0A:1B:2C"


def test_markup_is_made_from_values():
    assert (
        element("p", "a<b", None, element("b", 3), class_="x", hidden=True, id=None)
        == '<p class="x" hidden>a&lt;b<b>3</b></p>'
    )
    assert xml_element("sys", temp=41) == '<sys temp="41"/>'
    assert join("&", element("br")) == "&amp;<br>"


def test_an_entry_comes_from_the_consoles_json(box):
    entry = box.certificate.chain[0]
    view = {name: getattr(entry, name) for name in entry.__dataclass_fields__ if name != "der"}
    view["san"] = list(entry.san)
    assert entry_from_view(view, entry.der) == entry
