"""What a box is called, by what is printed on its label."""

from __future__ import annotations


def netbios_name(product: str, mac: bytes) -> str:
    """The name in the local network: product and the last three bytes of the MAC address, ``IP800-06-11-ac``."""
    return f"{product}-{mac_text(mac[3:])}"


def mac_text(mac: bytes) -> str:
    """As on the label: 00-90-33-06-11-ac."""
    return mac.hex("-")
