"""The registrar's table: which object can be reached where, over which connection, until when (RFC 3261 10.3).

A device with a hardware instance (RFC 5626 4.1) has one binding per instance and reg-id, whatever its contact says: one
that comes again after a power cut takes the place of its old self. Others have one per contact address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["Binding", "Bindings"]


class Binding(NamedTuple):
    """One contact of one object."""

    user: str
    """The object's name, the user of the address of record."""
    aor: str
    """The address of record, as the device wrote it."""
    contact: str
    """The contact's URI, as the device wrote it."""
    key: object
    """What another contact of the same object must have in common with this one to take its place."""
    labels: str
    """Parameters that are repeated in answers: ``;+sip.instance="<urn...>";reg-id=1`` (RFC 5626 6)."""
    outbound: bool
    """Whether the device does outbound, and so keeps its connection alive with pings (RFC 5626 4.4)."""
    hardware_id: str
    """The device entry that it registered by."""
    transport: str
    """``tls`` or ``tcp``."""
    flow: int
    """Number of the connection that it came over; with that, the binding ends."""
    call_id: str
    cseq: int
    since_ns: int
    """When this device registered over this connection for the first time."""
    ends_ns: int

    def expires_s(self, now_ns: int) -> int:
        """Seconds that are left, begun ones counted as whole."""
        return max(0, -((now_ns - self.ends_ns) // 1_000_000_000))


NOTHING: Mapping[object, Binding] = {}
"""What an object has that has none."""


class Bindings:
    """All of them. Knows no limit: whoever adds looks at `len` first."""

    def __init__(self) -> None:
        self._users: dict[str, dict[object, Binding]] = {}
        self._flows: dict[int, set[tuple[str, object]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, user: str, key: object) -> Binding | None:
        """The binding that one of the same key would take the place of."""
        return self._users.get(user, NOTHING).get(key)

    def of(self, user: str) -> tuple[Binding, ...]:
        """An object's bindings, oldest first."""
        return tuple(self._users.get(user, NOTHING).values())

    def all(self) -> tuple[Binding, ...]:
        """Everything, by the objects' names."""
        return tuple(binding for user in sorted(self._users) for binding in self._users[user].values())

    def over(self, flow: int) -> tuple[Binding, ...]:
        """What came over a connection."""
        return tuple(self._users[user][key] for user, key in self._flows.get(flow, ()))

    def put(self, binding: Binding) -> None:
        """Adds a binding, or has it take the place of the one with its key."""
        self._forget(binding.user, binding.key)
        self._users.setdefault(binding.user, {})[binding.key] = binding
        self._flows.setdefault(binding.flow, set()).add((binding.user, binding.key))
        self._count += 1

    def remove(self, bindings: Iterable[Binding]) -> int:
        """Takes bindings out; gives how many were there."""
        before = self._count
        for binding in bindings:
            self._forget(binding.user, binding.key)
        return before - self._count

    def remove_flow(self, flow: int) -> int:
        """Takes out what came over a connection; gives how many there were."""
        held = tuple(self._flows.get(flow, ()))
        for user, key in held:
            self._forget(user, key)
        return len(held)

    def remove_ended(self, now_ns: int) -> int:
        """Takes out what has expired; gives how many there were."""
        return self.remove([binding for binding in self.all() if binding.ends_ns <= now_ns])

    @property
    def next_end_ns(self) -> int | None:
        """When the first binding expires; None while there is none."""
        return min((each.ends_ns for user in self._users.values() for each in user.values()), default=None)

    def _forget(self, user: str, key: object) -> None:
        gone = self.find(user, key)
        if gone is None:
            return
        contacts = self._users[user]
        del contacts[key]
        if not contacts:
            del self._users[user]
        held = self._flows[gone.flow]
        held.discard((user, key))
        if not held:
            del self._flows[gone.flow]
        self._count -= 1
