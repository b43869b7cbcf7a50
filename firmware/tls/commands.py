"""The commands of module TLS."""

from __future__ import annotations

from typing import Protocol

from firmware.commands.kinds import Choice
from firmware.commands.registry import Argument, Call, Operation, Registry, Reply
from firmware.tls.profiles import PROFILES, Profile, profile_from_name


class ProfileHolder(Protocol):
    """Who decides what new TLS connections may use."""

    @property
    def profile(self) -> Profile: ...

    def set_profile(self, profile: Profile) -> None: ...


def register_tls(registry: Registry, holder: ProfileHolder) -> None:
    """Adds the module's operations to the registry."""

    async def profile(call: Call) -> Reply:
        name = call.get("name")
        if name is not None:
            holder.set_profile(profile_from_name(name))
        return Reply(holder.profile.name, {"profile": holder.profile.name})

    registry.register(
        Operation(
            "TLS",
            "profile",
            "shows or sets what new connections may use, until the next start (for good: config change TLS /profile)",
            profile,
            arguments=(Argument("name", Choice(*PROFILES), ", ".join(PROFILES)),),
            query=True,
        )
    )
