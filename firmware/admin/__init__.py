"""The administration's pages and machine addresses, as functions of what the device looks like."""

from firmware.admin.page import info_page
from firmware.admin.site import admin_router, box_info
from firmware.admin.view import (
    BoxView,
    CardView,
    CertificateEntry,
    CertificateState,
    LoadView,
    ServiceView,
    entry_from_view,
)

__all__ = [
    "BoxView",
    "CardView",
    "CertificateEntry",
    "CertificateState",
    "LoadView",
    "ServiceView",
    "admin_router",
    "box_info",
    "entry_from_view",
    "info_page",
]
