"""TLS: a protocol machine over memory buffers, what its steps cost the CPU, and the task that runs it.

Loads OpenSSL only when the first connection is made.
"""

from firmware.tls.contexts import ContextCache
from firmware.tls.cost import CostMeter
from firmware.tls.credentials import Credentials
from firmware.tls.engine import Engine, State, Step
from firmware.tls.errors import CredentialsError, TlsError
from firmware.tls.judgement import Judge, Judged, Judgement, PeerCheck, Role
from firmware.tls.messages import Alert, HandshakeEvent, TlsEvent
from firmware.tls.profiles import DEFAULT_PROFILE, PROFILES, Profile, profile_from_name
from firmware.tls.task import TlsStatistics, TlsStream, accept_tls, client_stream, connect_tls

__all__ = [
    "DEFAULT_PROFILE",
    "PROFILES",
    "Alert",
    "ContextCache",
    "CostMeter",
    "Credentials",
    "CredentialsError",
    "Engine",
    "HandshakeEvent",
    "Judge",
    "Judged",
    "Judgement",
    "PeerCheck",
    "Profile",
    "Role",
    "State",
    "Step",
    "TlsError",
    "TlsEvent",
    "TlsStatistics",
    "TlsStream",
    "accept_tls",
    "client_stream",
    "connect_tls",
    "profile_from_name",
]
