"""Which address shows what: the administration's table of routes, made over a function that looks at the device."""

from __future__ import annotations

from collections.abc import Callable

from firmware.admin.markup import xml_element
from firmware.admin.page import info_page
from firmware.admin.style import ICON, STYLE
from firmware.admin.view import BoxView, CertificateEntry
from firmware.errors import RequestError
from firmware.http import Request, Response, Router, text_response

__all__ = ["admin_router", "box_info"]


def admin_router(look: Callable[[], BoxView]) -> Router:
    """Routes to everything that is shown without logging in.

    Args:
        look: Gives the device as it is now; called once per request.
    """
    router = Router()
    router.get("/", lambda request: text_response(info_page(look())))
    router.get("/style.css", lambda request: text_response(STYLE, "text/css; charset=utf-8"))
    router.get("/favicon.svg", lambda request: text_response(ICON, "image/svg+xml"))
    router.get("/CMD0/box_info.xml", lambda request: text_response(box_info(look()), "text/xml; charset=utf-8"))
    router.get("/cert.pem", lambda request: _pem(*_chosen(request, look())))
    router.get("/cert.der", lambda request: _der(*_chosen(request, look())))
    return router


def box_info(view: BoxView) -> str:
    """The state that monitoring programs poll: element ``sys`` with ``temp`` in degrees Celsius and ``sync``.

    ``sync`` names the ISDN interface that gives the clock; "-" where there is none, as on this device.
    """
    system = xml_element("sys", temp=round(view.temperature_c), sync="-")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{xml_element("info", system)}\n'


def _chosen(request: Request, view: BoxView) -> tuple[CertificateEntry, str]:
    """The certificate that a download names by ``index`` (0: the device's own), and a file name for it."""
    chain = view.certificate.chain
    index = request.query.get("index", "0")
    if not (index.isascii() and index.isdigit() and len(index) <= 3 and int(index) < len(chain)):
        raise RequestError(404, f"there is no certificate {index[:8]}, the device chain holds {len(chain)}")
    suffix = f"-{index}" if int(index) else ""
    return chain[int(index)], f"{view.netbios_name}{suffix}"


def _pem(entry: CertificateEntry, name: str) -> Response:
    from firmware.x509.pem import pem_from_der

    body = pem_from_der(entry.der).encode("ascii")
    return Response(200, "application/x-pem-file", body, _attachment(f"{name}.pem"))


def _der(entry: CertificateEntry, name: str) -> Response:
    return Response(200, "application/pkix-cert", entry.der, _attachment(f"{name}.cer"))


def _attachment(file_name: str) -> tuple[tuple[str, str], ...]:
    safe = "".join(
        character for character in file_name if character.isascii() and (character.isalnum() or character in "-._")
    )
    return (("Content-Disposition", f'attachment; filename="{safe}"'),)
