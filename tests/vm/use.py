"""Scenes of a card in use: listed, written and read, by us and by Linux, and in a gateway."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import time

from gadget import Slot
from stage import Facts, reader, scene
from views import CARD_BYTES, POINT, WORK, card, gatebench, linux, mounted, ours, outcome, sha256

from cfcard.fat import Fat
from cfcard.reader import ReaderDevice
from hil import Bench
from hil.readers import ReaderWatch, reader_card


def row(slot: Slot) -> Facts:
    """What ``gatebench card readers`` lists of this reader."""
    rows = json.loads(gatebench("card", "readers", "--json")[1])
    return next(row for row in rows if row["device"] == slot.device)


@scene
def listed(slot: Slot) -> Facts:
    facts: Facts = {"empty": row(slot)}
    slot.insert(card("a", layout="mbr"))
    facts["card"] = row(slot)
    facts["line"] = gatebench("card", "readers")[1]
    with mounted(slot.device + "1"):
        facts["mounted"] = row(slot)
    slot.eject()
    facts["ejected"] = row(slot)
    slot.protect(True)
    slot.insert(WORK / "a.img")
    facts["protected"] = row(slot)
    slot.insert(card("b", size_bytes=CARD_BYTES * 2))
    facts["another"] = row(slot)
    return facts


@scene
def transfers(slot: Slot) -> Facts:
    image = card("a")
    slot.insert(image)
    draw = random.Random(1)
    want = bytearray(image.read_bytes())
    with reader(slot) as device:
        facts: Facts = {"title": device.disk.title, "size": device.size_bytes}
        facts["usb"] = [device.disk.usb, device.disk.removable]
        facts["second"] = outcome(lambda: ReaderDevice(slot.device, writable=False))
        before = int(slot.attribute("stat").split()[6])
        for lba in range(3_000, 3_000 + 64 * 37, 37):
            data = draw.randbytes(512)
            want[lba * 512 : (lba + 1) * 512] = data
            device.writeblocks(lba, data)
        device.sync()
        facts["sectors written"] = int(slot.attribute("stat").split()[6]) - before
        large = draw.randbytes((1 << 20) + 512)
        want[20_001 * 512 : 20_001 * 512 + len(large)] = large
        began = time.monotonic()
        device.writeblocks(20_001, large)
        device.sync()
        facts["1 MiB written in ms"] = round((time.monotonic() - began) * 1_000)
        read = bytearray(len(want))
        device.readblocks(0, read)
    facts["read back"] = read == want
    facts["on the card"] = image.read_bytes() == want
    return facts


@scene
def we_write_linux_reads(slot: Slot) -> Facts:
    slot.insert(card("a", layout="mbr"))
    draw = random.Random(2)
    files = {f"/CA/{n} Prüfung, a long name.pem": draw.randbytes(draw.randrange(30_000)) for n in range(40)}
    with reader(slot) as device:
        volume = Fat().mount(device)
        for name, content in files.items():
            volume.replace(name, content)
        for name in list(files)[::3]:
            volume.remove(name)
            del files[name]
        volume.umount()
    want = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    found = linux(slot.device + "1")
    differ = sorted(name for name in want if want[name] != found.get(name))
    return {"files": len(want), "differ": differ, "strange": sorted(set(found) - set(want))}


@scene
def linux_writes_we_read(slot: Slot) -> Facts:
    slot.insert(card("a"))
    draw = random.Random(3)
    want = {}
    with mounted(slot.device, "rw") as point:
        for number in range(60):
            path = point / "CA" / f"{number} from a PC für uns.pem"
            path.write_bytes(draw.randbytes(draw.randrange(20_000)))
            if number % 5 == 4:
                path.unlink()
            elif number % 5 == 3:
                path = path.rename(path.with_name(f"renamed {number}"))
        want = {f"/{file.relative_to(point)}": sha256(file) for file in point.rglob("*") if file.is_file()}
    found = ours(slot.device)
    with reader(slot, writable=False) as device:
        return {"files": len(want), "same": found == want, "problems": list(map(str, Fat().check(device).problems))}


@scene
def operated(slot: Slot) -> Facts:
    facts: Facts = {}
    for fat, partition in (("12", ""), ("16", "1"), ("32", "")):
        path = WORK / f"fat{fat}.img"
        subprocess.run(["cp", "--sparse=always", WORK / f"shared/fat{fat}.img", path], check=True)
        slot.insert(path)
        facts[fat] = {"linux": linux(slot.device + partition), "ours": ours(slot.device)}
        slot.eject()
        path.unlink()
    return facts


@scene
def by_command_line(slot: Slot) -> Facts:
    slot.insert(card("a"))
    content = random.Random(4).randbytes(30_000)
    (WORK / "in.bin").write_bytes(content)
    facts: Facts = {"put": gatebench("card", "put", slot.device, str(WORK / "in.bin"), "/CA/")}
    facts["get"] = gatebench("card", "get", slot.device, "/CA/in.bin", str(WORK / "out.bin"))
    facts["same"] = (WORK / "out.bin").read_bytes() == content
    facts["check"] = gatebench("card", "check", slot.device)
    slot.eject()
    facts["empty"] = gatebench("card", "ls", slot.device)
    return facts


@scene
def in_use(slot: Slot) -> Facts:
    slot.insert(card("a", layout="mbr"))
    facts: Facts = {}
    with mounted(slot.device + "1"):
        facts["partition mounted"] = outcome(lambda: ReaderDevice(slot.device))
        facts["for reading"] = outcome(lambda: ReaderDevice(slot.device, writable=False))
        facts["command"] = gatebench("card", "ls", slot.device)
    facts["partition"] = outcome(lambda: ReaderDevice(slot.device + "1"))
    with reader(slot):
        words = ["mount", "-t", "vfat", slot.device + "1", str(POINT)]
        facts["mount of ours"] = subprocess.run(words, capture_output=True, text=True, check=False).stderr
    slot.eject()
    slot.insert(card("b"))
    with mounted(slot.device):
        facts["whole mounted"] = outcome(lambda: ReaderDevice(slot.device))
    with reader(slot):
        facts["afterwards"] = "done"
    return facts


@scene
def gateway(slot: Slot) -> Facts:
    slot.insert(card("a"))
    said: list[str] = []
    with Bench(seed=5) as bench:
        box = bench.gateway()
        ReaderWatch(bench.clock, box, lambda: box.remove_card().close(), said.append)
        box.insert_card(reader_card(slot.device))
        box.power_on()
        box.console.login()
        box.console.run("x509 rootca-create /key 1024-bit /years 10 /dn-cn Reader%20CA", timeout_ms=600_000)
        facts: Facts = {"said before": list(said)}
        slot.eject()
        bench.run_for(ms=2_000)
        facts["said"] = list(said)
        facts["slot empty"] = box.card is None
        facts["goes on"] = bool(box.console.run("info"))
    slot.insert(WORK / "a.img")
    facts["files"] = sorted(name for name in linux(slot.device) if name.startswith("/CA/"))
    facts["check"] = gatebench("card", "check", slot.device)
    return facts
