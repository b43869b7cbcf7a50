"""The first page: who this device is, what it shows to others, how busy it is. A pure function of a ``BoxView``.

It needs no script and holds nothing secret, since nobody has logged in yet.
"""

from __future__ import annotations

from datetime import UTC, datetime

from firmware.admin.markup import Content, Markup, document, element, join
from firmware.admin.view import BoxView, CardView, CertificateEntry, CertificateState, LoadView, ServiceView

__all__ = ["info_page"]

REFRESH_S = 5
"""While a key is made, the page asks again by itself, so that progress can be watched without a script."""

KIND_WORDS = {
    "rsa-private": "RSA private key",
    "rsa-public": "RSA public key",
    "keygen": "Key generation",
    "hash": "Hashing",
    "cipher": "Encryption",
    "card": "Compact Flash",
    "parse": "Parsing",
    "tls": "TLS, other",
    "flash": "Flash memory",
    "switch": "Task switches",
    "command": "Commands",
}


def info_page(view: BoxView) -> str:
    """The page as HTML."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="refresh", content=REFRESH_S) if view.certificate.busy else None,
        element("title", f"{view.netbios_name} · {view.product}"),
        element("link", rel="icon", href="/favicon.svg", type="image/svg+xml"),
        element("link", rel="stylesheet", href="/style.css"),
    )
    return document(head, element("body", _header(view), _main(view), _footer(view)))


def _header(view: BoxView) -> Markup:
    return element(
        "header",
        element(
            "div",
            element("p", view.product, class_="product"),
            element("h1", view.netbios_name),
            class_="name",
        ),
        element("ul", *(_service_pill(service) for service in view.services), class_="pills", aria_label="Services"),
    )


def _service_pill(service: ServiceView) -> Markup:
    state = "on" if service.running else "off"
    colour = "good" if service.running else "bad" if service.wanted else None
    classes = f"pill {colour}" if colour else "pill"
    return element("li", service.name, element("span", f" {state}", class_="hidden"), class_=classes)


def _main(view: BoxView) -> Markup:
    return element(
        "main",
        element("p", view.notice, class_="notice", role="note") if view.notice else None,
        _time_warning(view),
        _device(view),
        _load(view.load),
        element("div", _services(view.services), _card(view.card), class_="stack"),
        _certificate(view.certificate),
    )


def _time_warning(view: BoxView) -> Markup | None:
    if view.time_s is not None:
        return None
    return element(
        "p",
        element("strong", "The time is not set. "),
        "Certificates cannot be validated before it is: configure an NTP server.",
        class_="notice warning",
        role="status",
    )


def _footer(view: BoxView) -> Markup:
    return element("footer", element("p", f"{view.product} · firmware {view.firmware_version}"))


def _section(title: str, *content: Content, wide: bool = False) -> Markup:
    anchor = title.lower().replace(" ", "-")
    heading = element("h2", title, id=anchor)
    return element("section", heading, *content, aria_labelledby=anchor, class_="wide" if wide else None)


def _facts(*rows: tuple[str, Content]) -> Markup:
    """A list of terms and what they are; rows without a value are left out."""
    pairs = (
        element("div", element("dt", term), element("dd", value)) for term, value in rows if value not in (None, "")
    )
    return element("dl", *pairs)


def _device(view: BoxView) -> Markup:
    clock = time_words(view.time_s) if view.time_s is not None else element("span", "not set", class_="bad")
    return _section(
        "Device",
        _facts(
            ("Model", view.product),
            ("Name", view.netbios_name),
            ("MAC address", element("code", view.mac)),
            ("Firmware", view.firmware_version),
            ("Time", clock),
            ("Uptime", duration_words(view.uptime_s)),
            ("Last start", view.reset_cause),
            ("Temperature", f"{view.temperature_c:.0f} °C"),
        ),
    )


def _services(services: tuple[ServiceView, ...]) -> Markup:
    rows = (
        element(
            "tr",
            element("th", service.name, scope="row"),
            element("td", service.port, class_="number"),
            element("td", _service_state(service)),
        )
        for service in services
    )
    head = element(
        "tr",
        element("th", "Service", scope="col"),
        element("th", "Port", scope="col", class_="number"),
        element("th", "State", scope="col"),
    )
    return _section("Services", element("table", element("thead", head), element("tbody", *rows)))


def _service_state(service: ServiceView) -> Markup:
    if service.running:
        return element("span", "listening", class_="good")
    reason = element("span", f" {service.reason}", class_="muted") if service.reason else None
    return join(element("span", "off", class_="bad" if service.wanted else None), reason)


def _load(load: LoadView) -> Markup:
    bars = (
        element(
            "div",
            element("dt", term),
            element(
                "dd", _meter(value, f"CPU load, {term}"), element("span", f"{value * 100:.0f} %", class_="percent")
            ),
        )
        for term, value in (("1 second", load.load_1s), ("10 seconds", load.load_10s), ("1 minute", load.load_60s))
    )
    handshake = f"{load.tls_last_us / 1000:.1f} ms CPU time" if load.tls_handshakes else "none yet"
    return _section(
        "CPU load",
        element("dl", *bars, class_="meters"),
        _facts(
            ("Clock", f"{load.hz / 1_000_000:g} MHz"),
            ("TLS handshakes", f"{load.tls_handshakes:,}"),
            ("Last handshake", handshake),
        ),
        _cycles(load),
    )


def _meter(value: float, label: str) -> Markup:
    return element("meter", min="0", max="1", low="0.7", high="0.9", value=f"{value:.3f}", aria_label=label)


def _cycles(load: LoadView) -> Markup | None:
    total = sum(cycles for _, cycles in load.cycles)
    if not total:
        return None
    rows = (
        element(
            "tr",
            element("th", KIND_WORDS.get(kind, kind), scope="row"),
            element("td", f"{cycles / 1_000_000:,.1f}", class_="number"),
            element("td", f"{100 * cycles / total:.1f} %", class_="number"),
        )
        for kind, cycles in sorted(load.cycles, key=lambda pair: (-pair[1], pair[0]))
        if cycles
    )
    head = element(
        "tr",
        element("th", "Work", scope="col"),
        element("th", "Mcycles", scope="col", class_="number"),
        element("th", "Share", scope="col", class_="number"),
    )
    return element(
        "details",
        element("summary", f"{total / 1_000_000:,.0f} million cycles since power-on"),
        element("table", element("thead", head), element("tbody", *rows)),
    )


def _card(card: CardView) -> Markup:
    return _section(
        "Compact Flash",
        _facts(
            ("State", element("span", card.state, class_="good" if card.ok else "bad")),
            ("Detail", card.detail),
            ("Size", size_words(card.size_bytes) if card.size_bytes else None),
            ("Free", size_words(card.free_bytes) if card.size_bytes else None),
            ("Root CA", card.root_ca),
        ),
    )


def _certificate(state: CertificateState) -> Markup:
    busy = element("p", state.busy, class_="notice", role="status") if state.busy else None
    if not state.chain:
        return _section("Device certificate", busy, element("p", "There is no certificate.", class_="muted"), wide=True)
    origin = element("p", state.origin, class_="muted") if state.origin else None
    entries = (_certificate_entry(entry, index, len(state.chain)) for index, entry in enumerate(state.chain))
    return _section("Device certificate", busy, origin, *entries, wide=True)


def _certificate_entry(entry: CertificateEntry, index: int, count: int) -> Markup:
    downloads = element(
        "span",
        element("a", "PEM", href=f"/cert.pem?index={index}", download=True),
        " ",
        element("a", "DER", href=f"/cert.der?index={index}", download=True),
        class_="downloads",
    )
    return element(
        "details",
        element(
            "summary",
            element("strong", entry.subject or "(no name)"),
            " ",
            element("span", _place(index, count), class_="muted"),
        ),
        _facts(
            ("Subject", entry.subject),
            ("Issuer", join(entry.issuer, " (itself)") if entry.self_signed else entry.issuer),
            ("Valid", _validity(entry)),
            ("Names", ", ".join(entry.san)),
            ("Public key", f"RSA, {entry.key_bits} bits"),
            ("Signature", entry.signature),
            ("Serial number", element("code", entry.serial)),
            ("Version", entry.version),
            ("May issue", "yes, a CA" if entry.ca else "no"),
            ("SHA-1", _fingerprint(entry.sha1)),
            ("MD5", _fingerprint(entry.md5)),
            ("SHA-256", _fingerprint(entry.sha256)),
            ("Download", downloads),
        ),
        open=index == 0,
    )


def _place(index: int, count: int) -> str:
    if index == 0:
        return "this device"
    return "root" if index == count - 1 else "intermediate"


def _validity(entry: CertificateEntry) -> Markup:
    state = (
        element("span", "now valid", class_="good") if entry.valid else element("span", "not valid now", class_="bad")
    )
    return join(_moment(entry.not_before), " to ", _moment(entry.not_after), " · ", state)


def _moment(text: str) -> Markup:
    """An ISO 8601 time in UTC, easier to read, and in one line."""
    return element("time", text.replace("T", " ").replace("Z", " UTC"), datetime=text, class_="line")


def _fingerprint(digest: str) -> Markup:
    """A fingerprint that may only be broken behind a colon."""
    pieces = fingerprint_words(digest).split(":")
    return element(
        "code", *(join(":", element("wbr"), piece) if index else piece for index, piece in enumerate(pieces))
    )


def time_words(time_s: int) -> Markup:
    """A moment in UTC, as people and programs read it."""
    moment = datetime.fromtimestamp(time_s, UTC)
    return element("time", f"{moment:%Y-%m-%d %H:%M:%S} UTC", datetime=f"{moment:%Y-%m-%dT%H:%M:%SZ}")


def duration_words(duration_s: int) -> str:
    """For example ``3 d 04:05:06``."""
    minutes, seconds = divmod(duration_s, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours:02}:{minutes:02}:{seconds:02}"
    return f"{days} d {clock}" if days else clock


def size_words(size_bytes: int) -> str:
    """For example ``61.3 MiB``."""
    return f"{size_bytes / 1_048_576:.1f} MiB" if size_bytes >= 1_048_576 else f"{size_bytes / 1_024:.0f} KiB"


def fingerprint_words(digest: str) -> str:
    """Pairs of upper-case digits with colons, as browsers show fingerprints."""
    digits = digest.upper()
    return ":".join(digits[start : start + 2] for start in range(0, len(digits), 2))
