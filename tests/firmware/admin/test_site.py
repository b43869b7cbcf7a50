"""What is found at which address."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from firmware.admin import CertificateState, admin_router
from firmware.errors import RequestError
from firmware.http import Request


@pytest.fixture
def get(box):
    """``get(target, view=box)``: the answer to a GET."""

    def fetch(target, view=box):
        path = target.partition("?")[0]
        return admin_router(lambda: view).find("GET", path).handler(Request("GET", target, path))

    return fetch


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
        ("/CMD0/box_info.xml", "text/xml; charset=utf-8"),
        ("/cert.pem", "application/x-pem-file"),
        ("/cert.der", "application/pkix-cert"),
    ],
)
def test_every_address_has_its_type(get, path, content_type):
    response = get(path)
    assert (response.status, response.content_type) == (200, content_type)
    assert response.body


def test_the_icon_and_the_state_are_well_formed_xml(get):
    ET.fromstring(get("/favicon.svg").body)
    info = ET.fromstring(get("/CMD0/box_info.xml").body)
    assert info.tag == "info"
    system = info.find("sys")
    assert system is not None
    assert system.attrib == {"temp": "42", "sync": "-"}


def test_the_stylesheet_asks_for_nothing_from_elsewhere(get):
    assert b"url(" not in get("/style.css").body
    assert b"@import" not in get("/style.css").body


def test_certificates_are_downloaded_by_index(get, box):
    assert get("/cert.der").body == box.certificate.chain[0].der
    assert get("/cert.der?index=1").body == box.certificate.chain[1].der
    assert get("/cert.pem").body == b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"


def test_downloads_have_the_device_in_their_file_name(get, make_box):
    assert get("/cert.der").headers == (("Content-Disposition", 'attachment; filename="IP800-06-11-ac.cer"'),)
    assert 'filename="IP800-06-11-ac-1.pem"' in get("/cert.pem?index=1").headers[0][1]
    assert get("/cert.der", make_box(netbios_name='a"\r\nb')).headers[0][1] == 'attachment; filename="ab.cer"'


@pytest.mark.parametrize("index", ["2", "-1", "x", "", "1e1", "99999999", "%D9%A1"])
def test_a_certificate_that_is_not_there_is_404(get, index):
    with pytest.raises(RequestError) as caught:
        get(f"/cert.pem?index={index}")
    assert caught.value.status == 404


def test_without_a_certificate_there_is_nothing_to_download(get, make_box):
    with pytest.raises(RequestError, match="the device chain holds 0"):
        get("/cert.pem", make_box(certificate=CertificateState()))


def test_nobody_can_change_anything_here(box):
    for path in ("/", "/cert.pem"):
        with pytest.raises(RequestError) as caught:
            admin_router(lambda: box).find("POST", path)
        assert caught.value.status == 405
