"""SIP over TCP and TLS: message parser, what a user agent server answers, and the task that serves a connection."""

from firmware.sip.agent import answer, refusal
from firmware.sip.errors import SipError
from firmware.sip.framing import Fault, Framer, Ping
from firmware.sip.message import SipRequest, SipResponse, parse_head, response_bytes
from firmware.sip.task import serve_sip

__all__ = [
    "Fault",
    "Framer",
    "Ping",
    "SipError",
    "SipRequest",
    "SipResponse",
    "answer",
    "parse_head",
    "refusal",
    "response_bytes",
    "serve_sip",
]
