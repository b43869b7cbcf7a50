"""The running gateway: every part of the firmware, put together once, after the boot code has let it start."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from firmware import VERSION
from firmware.admin import BoxView, CardView, CertificateState, LoadView, ServiceView, admin_router, entry_from_view
from firmware.card.commands import register_card, volume_view
from firmware.card.errors import CardFailure
from firmware.card.task import CardTask
from firmware.commands import (
    EventLog,
    Field,
    Interpreter,
    Number,
    Registry,
    Restart,
    Settings,
    Variables,
    is_time_set,
    register_config,
    register_cpu,
    register_ctime,
    register_help,
    register_info,
    register_leds,
    register_log,
    register_logout,
    register_restart,
    register_tasks,
    register_vars,
)
from firmware.commands.kinds import Choice
from firmware.hal import FileSystem, Hardware, Led
from firmware.kernel import Kernel, Share
from firmware.kernel.booking import booked
from firmware.leds import StatusLeds
from firmware.naming import mac_text, netbios_name
from firmware.pbx.admission import admitted
from firmware.pbx.commands import register_pbx
from firmware.pbx.devices import DeviceList
from firmware.registration import MODULE as PHONE
from firmware.registration import PHONE_FIELDS, Registration, register_status
from firmware.rollout import REQUEST_KEY, RequestVariables, Rollout
from firmware.services.dialer import Dialer
from firmware.services.task import CLIENT_CERTIFICATE, SIP_FIELDS, Services, service_fields
from firmware.sip import Registrar, teller, watch_bindings
from firmware.sip.commands import register_registrations
from firmware.storage import Store
from firmware.storage.booked import BookedStore
from firmware.tls import Credentials, Judgement, Role
from firmware.tls.commands import register_tls
from firmware.tls.profiles import DEFAULT_PROFILE, PROFILES, profile_from_name
from firmware.x509.applications import Applications
from firmware.x509.cabinet import DEVICE, Cabinet
from firmware.x509.commands import register_x509
from firmware.x509.connectcommands import register_connect
from firmware.x509.expiry import EXPIRY_FIELDS
from firmware.x509.peerjudge import PeerJudge
from firmware.x509.rejected import RejectedList
from firmware.x509.rejectedcommands import register_rejected
from firmware.x509.task import X509Task
from firmware.x509.trust import TrustList
from firmware.x509.trustcommands import register_trust
from firmware.x509.verdict import Verdict
from firmware.x509.view import certificate_view

SHARE_FIELDS = (
    Field("background-percent", Number(1, 100), 50, "of the CPU that key generation may take"),
    Field("background-window-ms", Number(10, 10_000), 100, "over which that is measured"),
)

PROFILE_FIELDS = (Field("profile", Choice(*PROFILES), DEFAULT_PROFILE.name, "what new connections may use"),)

SEEDED_NOTICE = "this run is seeded: its keys are not secret"

ORIGINS = {"builtin": "built-in, signed by the manufacturer", "default": "default, self-signed by this device"}


class Box:
    """One gateway's firmware at work."""

    def __init__(self, kernel: Kernel, hardware: Hardware, filesystem: FileSystem, store: Store) -> None:
        self.kernel = kernel
        self._began_ns = kernel.now_ns
        self.hardware = hardware
        self.store = store
        self.log = EventLog(hardware.rtc)
        self.leds = StatusLeds(hardware.leds)
        booked_store = BookedStore(kernel, store)
        self.cabinet = Cabinet(booked_store)
        self.trust = TrustList(booked_store)
        self.rejected = RejectedList()
        self.settings = Settings(store)
        self.settings.register("X509", EXPIRY_FIELDS)
        self.share = Share()
        """How much of the CPU key generation may take."""
        self.settings.register("CPU", SHARE_FIELDS, self._set_share)
        self._set_share({field.name: self.settings.value("CPU", field.name) for field in SHARE_FIELDS})
        self.variables = Variables(store)
        self.netbios = netbios_name(hardware.model.product, hardware.mac)
        entropy = hardware.entropy("x509")
        self.notice = "" if entropy.secret else SEEDED_NOTICE
        self.card = self._card_task(filesystem)
        self.x509 = X509Task(
            kernel,
            hardware.costs,
            self.cabinet,
            self.trust,
            self.card,
            entropy,
            netbios=self.netbios,
            now_s=self.now_s,
            time_known=self.time_known,
            say=lambda line: self.log.write("X509", line),
            log=lambda line: self.log.write("JOB", line),
            changed=self._certificate_changed,
            expiry_days=lambda: int(self.settings.value("X509", "expiry-days")),
            share=self.share,
        )
        self.rollout = Rollout(kernel, self.x509, lambda line: self.log.write("X509", line))
        self.variables.own("X509/", RequestVariables(self.cabinet, self.rollout.answered), (REQUEST_KEY,))
        self.applications = Applications(self.cabinet)
        self.peers = PeerJudge(self.trust, hardware.costs, self.now_s, self._peer_judged)
        for name in CLIENT_CERTIFICATE:
            self.settings.register(name, service_fields(name, hardware.model))
        self.devices = devices = DeviceList(booked_store)
        self.registrar = Registrar(
            lambda user, common_name: admitted(devices, user, common_name).hardware_id,
            lambda: kernel.now_ns,
            teller(kernel),
        )
        kernel.spawn(watch_bindings(kernel, self.registrar), "registrar")
        self.services = Services(
            kernel,
            hardware.costs,
            hardware.network,
            admin_router(self.view),
            hardware.entropy("sip"),
            server=f"{hardware.model.product} {VERSION}",
            credentials=self.credentials,
            application=self.applications.credentials,
            peers=self.peers,
            ready=self.x509.read_trust_list,
            setting=self.settings.value,
            registrar=self.registrar,
            why_not=lambda: "there is no certificate yet",
            now_s=lambda: self.now_s() if self.time_known() else None,
            say=lambda line: self.log.write("SERVICES", line),
            log=lambda line: self.log.write("TLS", line),
            updated=lambda: self.registration.update(),
        )
        self.settings.register("SIP", SIP_FIELDS, lambda values: self.services.allow_plain_sip(values["tcp"] == "on"))
        self.services.plain_sip = self.settings.value("SIP", "tcp") == "on"
        self.settings.register("TLS", PROFILE_FIELDS, lambda values: self._set_profile(str(values["profile"])))
        self._set_profile(str(self.settings.value("TLS", "profile")))
        self.dialer = Dialer(
            kernel,
            hardware.costs,
            hardware.network,
            self.services,
            self.applications.credentials,
            self.peers,
            ready=self.x509.read_trust_list,
            log=lambda line: self.log.write("TLS", line),
        )
        self.registration = Registration(
            kernel,
            hardware.costs,
            self.dialer,
            hardware.entropy("registration"),
            host=self.netbios,
            mac=hardware.mac,
            agent=f"{hardware.model.product} {VERSION}",
            ready=lambda: self.services.presented is not None,
            tell=teller(kernel),
            log=lambda line: self.log.write("PHONE", line),
        )
        self.settings.register(PHONE, PHONE_FIELDS, self.registration.configure)
        self.registration.configure({field.name: self.settings.value(PHONE, field.name) for field in PHONE_FIELDS})
        self.restart = Restart(kernel, hardware.reset, self._busy_with)
        self.registry = self._registry()
        self.interpreter = Interpreter(self.registry, kernel, hardware.costs, self.log.write)

    # -- what the parts ask of one another

    def _set_share(self, values: Mapping[str, object]) -> None:
        self.share.set(int(str(values["background-percent"])), int(str(values["background-window-ms"])))

    def _set_profile(self, name: str) -> None:
        self.services.set_profile(profile_from_name(name))

    def now_s(self) -> int:
        """Unix seconds by the board's clock."""
        return unix_seconds(self.hardware)

    def time_known(self) -> bool:
        """Whether the clock was set."""
        return is_time_set(self.hardware.rtc)

    def credentials(self) -> Credentials | None:
        """What HTTPS and SIPS present now; None while the box has no certificate, or is making its default one."""
        in_use = self.cabinet.in_use()
        if in_use is None or self.x509.without_certificate:
            return None
        return self.cabinet.credentials(in_use)

    def _certificate_changed(self) -> None:
        self.applications.forget()
        self.services.update()

    def _peer_judged(self, peer: str, role: Role, chain_der: tuple[bytes, ...], judgement: Judgement) -> None:
        """Every peer that showed certificates, refused or not; the list wants to know what *it* was."""
        verdict = judgement.verdict
        if isinstance(verdict, Verdict) and verdict.reason is not None:
            peer_role = Role.CLIENT if role is Role.SERVER else Role.SERVER
            self.rejected.add(peer, peer_role.value, chain_der, verdict.text, verdict.reason, self.now_s())

    def _busy_with(self) -> list[str]:
        job = self.x509.job
        return [job.line()] if job is not None and job.running else []

    def _card_task(self, filesystem: FileSystem) -> CardTask | None:
        slot = self.hardware.slot
        if slot is None:
            return None
        led: Led | None = self.hardware.leds.get("cf")
        return CardTask(self.kernel, slot, filesystem, lambda line: self.log.write("CARD", line), led)

    def _registry(self) -> Registry:
        """Every operation there is: console, pages and machine interface are faces of it."""
        registry = Registry()
        register_help(registry)
        register_info(registry, self.facts)
        register_log(registry, self.log)
        register_tasks(registry, self.kernel)
        register_leds(registry, self.leds.states)
        register_ctime(registry, self.hardware.rtc)
        register_restart(registry, self.restart)
        register_logout(registry)
        register_cpu(registry, self.kernel, self.services.statistics)
        register_config(registry, self.settings)
        register_vars(registry, self.variables)
        register_card(registry, self.card, lambda: int.from_bytes(self.hardware.entropy("fat").randbytes(4), "little"))
        register_x509(registry, self.x509)
        register_trust(registry, self.x509)
        register_rejected(registry, self.x509, self.rejected)
        register_tls(registry, self.services)
        register_pbx(registry, DeviceList(self.store, self.devices.index))
        register_registrations(registry, self.registrar, lambda: self.kernel.now_ns)
        register_status(registry, self.registration, lambda: self.kernel.now_ns)
        register_connect(
            registry,
            self.kernel,
            self.hardware.costs,
            self.dialer,
            trusted=lambda: self.peers.trusted,
            profile=lambda: self.services.profile.name,
            now_s=self.now_s,
            time_known=self.time_known,
        )
        return registry

    # -- how it looks from outside

    @property
    def uptime_s(self) -> int:
        """Since power-on or the last reset; the time of the CPU's clock goes on over both."""
        return (self.kernel.now_ns - self._began_ns) // 1_000_000_000

    def facts(self) -> dict[str, object]:
        """What ``info`` says."""
        job = self.x509.job
        return {
            "model": self.hardware.model.product,
            "name": self.netbios,
            "mac": mac_text(self.hardware.mac),
            "firmware": VERSION,
            "uptime_s": self.uptime_s,
            "reset_cause": self.hardware.reset_cause,
            "time_set": self.time_known(),
            "temperature_c": self.hardware.temperature(),
            "services": [f"{service.name} {service.port}" for service in self.services.all if service.running],
            "certificate": self.cabinet.in_use(),
            "busy": job.line() if job is not None and job.running else None,
            "card": "no slot" if self.card is None else self.card.state,
            "flash_free_bytes": self.store.free_bytes,
            "notice": self.notice or None,
        }

    def view(self) -> BoxView:
        """What the administration's pages show."""
        return BoxView(
            product=self.hardware.model.product,
            netbios_name=self.netbios,
            mac=mac_text(self.hardware.mac),
            firmware_version=VERSION,
            uptime_s=self.uptime_s,
            time_s=self.now_s() if self.time_known() else None,
            temperature_c=self.hardware.temperature(),
            reset_cause=self.hardware.reset_cause,
            certificate=self._certificate_state(),
            load=self._load_view(),
            card=self._card_view(),
            services=tuple(
                ServiceView(service.name, service.port, service.running, service.why_off, service.wanted())
                for service in self.services.all
            ),
            notice=self.notice,
        )

    def _certificate_state(self) -> CertificateState:
        in_use = self.cabinet.in_use()
        job = self.x509.job
        now_s = self.now_s()
        chain = self.cabinet.chain(in_use) if in_use else ()
        origin = ORIGINS.get(in_use or "", "")
        if in_use == DEVICE:
            origin = (
                "self-signed" if len(chain) == 1 and chain[0].is_self_signed else f"issued by {chain[0].issuer.text}"
            )
        return CertificateState(
            tuple(entry_from_view(certificate_view(certificate, now_s), certificate.der) for certificate in chain),
            origin,
            job.line() if job is not None and job.running else "",
        )

    def _load_view(self) -> LoadView:
        kernel = self.kernel
        return LoadView(
            kernel.cpu.hz,
            kernel.load(1_000),
            kernel.load(10_000),
            kernel.load(60_000),
            tuple(sorted(kernel.cycles.items())),
            self.services.statistics.handshakes,
            self.services.statistics.last_us,
        )

    def _card_view(self) -> CardView:
        card = self.card
        if card is None:
            return CardView("no slot")
        if card.volume is None:
            return CardView({"absent": "empty"}.get(card.state, card.state), card.state != "unusable", card.reason)
        try:
            with booked(self.kernel, "card"):
                numbers = volume_view(card.volume)
        except CardFailure as failure:
            return CardView("damaged", False, str(failure))
        return CardView(
            "mounted", size_bytes=_number(numbers, "volume_bytes"), free_bytes=_number(numbers, "free_bytes")
        )


def _number(numbers: dict[str, object], name: str) -> int:
    value = numbers.get(name, 0)
    return value if isinstance(value, int) else 0


def unix_seconds(hardware: Hardware) -> int:
    """The board's time."""
    year, month, day, _, hour, minute, second, _ = hardware.rtc.datetime()
    return _seconds_from_fields(year, month, day, hour, minute, second)


@lru_cache(maxsize=16)
def _seconds_from_fields(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Remembered for a few seconds that are being asked for now, on whichever board."""
    from datetime import UTC, datetime

    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
