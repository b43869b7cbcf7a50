"""SIP over TCP and TLS: messages, what a user agent server answers, the registrar, and the task of a connection."""

from firmware.sip.agent import answer, refusal
from firmware.sip.errors import SipError
from firmware.sip.events import Tell, teller
from firmware.sip.framing import Fault, Framer, Ping
from firmware.sip.message import SipRequest, SipResponse, parse_head, response_bytes
from firmware.sip.registrar import Flow, Registrar
from firmware.sip.task import serve_sip, watch_bindings

__all__ = [
    "Fault",
    "Flow",
    "Framer",
    "Ping",
    "Registrar",
    "SipError",
    "SipRequest",
    "SipResponse",
    "Tell",
    "answer",
    "parse_head",
    "refusal",
    "response_bytes",
    "serve_sip",
    "teller",
    "watch_bindings",
]
