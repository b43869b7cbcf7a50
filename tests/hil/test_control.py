"""The control face: what each path reads and sets, and what it answers to whoever asks wrongly."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import h11
import pytest

from board.pacing import PacedClock
from hil.bench import Bench
from hil.cards import image_card
from hil.control import IDLE_S, LONGEST_BODY, MAX_CONNECTIONS, CardBox, ControlFace, ControlServer
from hil.errors import EnvironmentRefused
from hil.gateway import Gateway
from hil.poller import Poller, paced_clock
from hil.saved import saved_from_file

Ask = Callable[..., tuple[int, str]]


def _run_until(clock: PacedClock, finished: Callable[[], bool]) -> None:
    """In short steps: our own end of the connection is nothing that wakes the clock."""
    deadline_ns = clock.now_ns + 2_000_000_000
    while not finished():
        assert clock.now_ns < deadline_ns
        clock.run_for(500_000)


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


@pytest.fixture
def clock(poller: Poller) -> PacedClock:
    return paced_clock(poller)


@pytest.fixture
def gateway(clock: PacedClock, fake_program: type) -> Iterator[Gateway]:
    """In a paced world, booted."""
    with Bench(7, clock=clock, program=fake_program) as bench:
        made = bench.gateway()
        made.power_on()
        made.console.expect("login: ")
        yield made


@pytest.fixture
def server(poller: Poller, gateway: Gateway) -> Iterator[ControlServer]:
    cards = CardBox(gateway, "4M")
    made = ControlServer(poller, ControlFace(gateway, cards), "127.0.0.1", 0)
    yield made
    made.close()
    cards.close()


@pytest.fixture
def connection(server: ControlServer) -> Iterator[socket.socket]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as made:
        made.setblocking(False)
        yield made


@pytest.fixture
def ask(connection: socket.socket, clock: PacedClock) -> Ask:
    """``ask(method, path, body)``: status and body, all on one connection."""
    http = h11.Connection(h11.CLIENT)

    def exchange(method: str, path: str, body: str = "") -> tuple[int, str]:
        if http.our_state is h11.DONE:
            http.start_next_cycle()
        headers = [("host", "x"), ("content-length", str(len(body)))]
        out = http.send(h11.Request(method=method, target=path, headers=headers)) or b""
        out += (http.send(h11.Data(data=body.encode())) or b"") + (http.send(h11.EndOfMessage()) or b"")
        connection.send(out)
        events: list[object] = []

        def finished() -> bool:
            event = http.next_event()
            if event is h11.NEED_DATA:
                try:
                    http.receive_data(connection.recv(65_536))
                except BlockingIOError:
                    pass
            else:
                events.append(event)
            return isinstance(event, h11.EndOfMessage)

        _run_until(clock, finished)
        head = events[0]
        assert isinstance(head, h11.Response)
        return head.status_code, b"".join(e.data for e in events if isinstance(e, h11.Data)).decode()

    return exchange


def test_power_is_read_and_set_with_bare_bodies(ask: Ask, gateway: Gateway) -> None:
    assert ask("GET", "/power") == (200, "1")
    assert ask("PUT", "/power", "0") == (200, "0")
    assert not gateway.powered
    assert ask("PUT", "/power", "0") == (200, "0")
    assert ask("PUT", "/power", "1\n") == (200, "1")
    assert ask("PUT", "/power", "1") == (200, "1")
    assert gateway.board.resets == 0


def test_the_card_goes_out_and_the_same_one_comes_back(ask: Ask, gateway: Gateway) -> None:
    assert ask("GET", "/card") == (200, "0")
    assert ask("PUT", "/card", "1") == (200, "1")
    card = gateway.card
    assert ask("PUT", "/card", "0") == (200, "0")
    assert gateway.card is None
    assert ask("PUT", "/card", "1") == (200, "1")
    assert gateway.card is card


def test_another_image_takes_the_place_of_the_card_that_is_in(ask: Ask, gateway: Gateway, tmp_path: Path) -> None:
    ask("PUT", "/card", "1")
    before = gateway.card
    path = str(tmp_path / "other.img")
    assert ask("PUT", "/card/image", path) == (200, path)
    assert ask("GET", "/card") == (200, "1")
    assert gateway.card is not before
    assert (tmp_path / "other.img").stat().st_size == 4 * 1024**2


def test_the_image_of_a_pulled_card_is_free_for_another_reader(ask: Ask, gateway: Gateway, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    assert ask("PUT", "/card/image", str(image))[0] == 200
    ask("PUT", "/card", "1")
    with pytest.raises(EnvironmentRefused):
        image_card(image)
    ask("PUT", "/card", "0")
    image_card(image).close()
    assert ask("PUT", "/card", "1")[0] == 200
    assert gateway.card is not None


def test_an_image_that_is_chosen_while_the_slot_is_empty_stays_out(ask: Ask, gateway: Gateway, tmp_path: Path) -> None:
    path = str(tmp_path / "later.img")
    assert ask("PUT", "/card/image", path) == (200, path)
    assert gateway.card is None
    ask("PUT", "/card", "1")
    assert gateway.card is not None


def test_an_image_that_cannot_be_used_changes_nothing(ask: Ask, gateway: Gateway, tmp_path: Path) -> None:
    ask("PUT", "/card", "1")
    before = gateway.card
    (tmp_path / "notes.txt").write_text("no card")
    status, text = ask("PUT", "/card/image", str(tmp_path / "notes.txt"))
    assert status == 409
    assert "not a multiple of 512" in text
    assert text.count("\n") == 1
    assert len(text) < 500
    assert gateway.card is before
    assert ask("GET", "/card/image") == (200, "ram")


def test_a_fault_plan_is_armed_looked_at_and_disarmed(ask: Ask, gateway: Gateway) -> None:
    ask("PUT", "/card", "1")
    plan = '[[fault]]\nfault = "pull"\nat = 2\nname = "gone"\n[[fault]]\nevent = "read"\nsector = [3, 4]\n'
    status, text = ask("PUT", "/card/fault", plan)
    assert status == 200
    armed = json.loads(text)
    assert [(rule["name"], rule["fault"], rule["at"]) for rule in armed["rules"]] == [
        ("gone", "pull", 2),
        ("error at read of sectors 3 to 4", "error", 1),
    ]
    assert gateway.card is not None
    device = gateway.card.device
    device.writeblocks(0, bytes(512))
    with pytest.raises(OSError, match="sector 3 unreadable"):
        device.readblocks(3, bytearray(512))
    with pytest.raises(OSError, match="no card"):
        device.writeblocks(1, bytes(512))
    assert ask("GET", "/card") == (200, "0")
    seen = json.loads(ask("GET", "/card/fault")[1])
    assert [(hit["name"], hit["sector"]) for hit in seen["fired"]] == [
        ("error at read of sectors 3 to 4", 3),
        ("gone", 1),
    ]
    assert [rule["spent"] for rule in seen["rules"]] == [True, False]
    for nothing in ("0", ""):
        assert json.loads(ask("PUT", "/card/fault", nothing)[1])["rules"] == []
    assert ask("PUT", "/card", "1") == (200, "1")
    gateway.card.device.readblocks(3, bytearray(512))


@pytest.mark.parametrize(
    "body",
    ['{"fault": [{"fault": "lose", "at": 5}]}', '[{"fault": "lose", "at": 5}]', '{"fault": "lose", "at": 5}'],
)
def test_a_fault_plan_may_be_json(ask: Ask, body: str) -> None:
    (rule,) = json.loads(ask("PUT", "/card/fault", body)[1])["rules"]
    assert (rule["fault"], rule["event"], rule["at"], rule["seen"]) == ("lose", "write", 5, 0)


def test_the_image_of_a_card_that_a_fault_has_pulled_is_free_and_goes_in_again(
    ask: Ask, gateway: Gateway, tmp_path: Path
) -> None:
    image = tmp_path / "card.img"
    ask("PUT", "/card/image", str(image))
    ask("PUT", "/card", "1")
    assert gateway.card is not None
    ask("PUT", "/card/fault", '[[fault]]\nfault = "pull"')
    with pytest.raises(OSError, match="no card"):
        gateway.card.device.writeblocks(0, bytes(512))
    image_card(image).close()
    assert ask("PUT", "/card", "1") == (200, "1")
    assert ask("GET", "/card") == (200, "1")


def test_a_plan_that_cannot_be_armed_now_leaves_the_one_before(ask: Ask, gateway: Gateway) -> None:
    ask("PUT", "/card", "1")
    ask("PUT", "/card/fault", '[[fault]]\nfault = "cut"\nat = 9')
    before = ask("GET", "/card/fault")
    status, text = ask("PUT", "/card/fault", '[[fault]]\nfault = "full"')
    assert (status, text.count("\n")) == (409, 1)
    assert "a running board may be using the volume" in text
    status, text = ask("PUT", "/card/fault", "[[fault]]\nsector = 8192")
    assert (status, text) == (409, "error at write of sector 8192: the card has sectors 0 to 8191\n")
    assert ask("GET", "/card/fault") == before


def test_the_button_is_pressed_for_so_many_milliseconds(ask: Ask, gateway: Gateway, clock: PacedClock) -> None:
    assert ask("PUT", "/button", "30") == (200, "1")
    clock.run_for(40_000_000)
    assert ask("GET", "/button") == (200, "0")
    assert gateway.board.button.line.level == 1


@pytest.mark.parametrize(
    ("method", "path", "verbs"), [("DELETE", "/card", "GET or PUT"), ("PUT", "/leds", "GET"), ("GET", "/save", "PUT")]
)
def test_another_method_is_told_which_ones_there_are(ask: Ask, method: str, path: str, verbs: str) -> None:
    assert ask(method, path) == (405, f"{method} {path}: must be {verbs}\n")


def test_json_and_errors_end_with_a_line_break_and_values_are_bare(ask: Ask) -> None:
    for path in ("/leds", "/state", "/card/fault"):
        text = ask("GET", path)[1]
        assert (text[-2:], text.count("\n")) == ("}\n", 1), path
    assert ask("GET", "/nothing")[1].endswith("\n")
    for path in ("/power", "/card", "/card/image", "/button"):
        assert ask("GET", path)[1].strip() == ask("GET", path)[1], path


def test_leds_and_state_are_json(ask: Ask) -> None:
    assert json.loads(ask("GET", "/leds")[1])["ready"] == "green"
    state = json.loads(ask("GET", "/state")[1])
    assert (state["boot"], state["services"]["http"], state["card"]) == ("operational", True, 0)


def test_the_gateway_is_saved_where_it_is_told(ask: Ask, tmp_path: Path) -> None:
    path = str(tmp_path / "saved.zip")
    assert ask("PUT", "/save", path) == (200, path)
    assert saved_from_file(path).facts.model == "ip800"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", "", 404),
        ("GET", "/powers", "", 404),
        ("PUT", "/nowhere", "1", 404),
        ("PUT", "/leds", "1", 405),
        ("POST", "/power", "1", 405),
        ("DELETE", "/card", "", 405),
        ("GET", "/save", "", 405),
        ("PUT", "/save", "", 400),
        ("PUT", "/save", "/nowhere/at/all.zip", 409),
        ("PUT", "/power", "2", 400),
        ("PUT", "/power", "", 400),
        ("PUT", "/card", "on", 400),
        ("PUT", "/button", "-5", 400),
        ("PUT", "/button", "0", 400),
        ("PUT", "/button", "9" * 30, 400),
        ("PUT", "/button", "0" * 9 + "9" * 12, 400),
        ("PUT", "/card/image", "a\0b", 400),
        ("PUT", "/save", "a\0b", 400),
        ("GET", "/" + "a" * 9_000, "", 404),
        ("PUT", "/card/image", "", 400),
        ("PUT", "/card/image", "/dev/no-such-reader", 409),
        ("PUT", "/card/fault", "pull", 400),
        ("PUT", "/card/fault", '[[fault]]\nfault = "explode"', 400),
        ("PUT", "/card/fault", '{"fault": [', 400),
        ("PUT", "/card/fault", "[[fault]]\nat = 0", 400),
        ("PUT", "/card/fault", "at = " + "1" * 5_000, 400),
        ("PUT", "/card/fault", "a = " + "[" * 60_000, 400),
        ("PUT", "/card/fault", '{"fault": "slow", "factor": 1' + "0" * 400 + "}", 400),
        ("PUT", "/power", "1" * (LONGEST_BODY + 1), 413),
    ],
)
def test_what_is_asked_wrongly_gets_one_line_and_changes_nothing(
    ask: Ask, gateway: Gateway, method: str, path: str, body: str, status: int
) -> None:
    before = {**gateway.state(), "time_ns": 0, "load": None}
    found, text = ask(method, path, body)
    assert found == status
    assert text.count("\n") == 1
    assert {**gateway.state(), "time_ns": 0, "load": None} == before


@pytest.mark.parametrize(("path", "status"), [("/state", 405), ("/powers", 404)])
def test_who_asks_for_the_head_alone_gets_it_and_the_connection_goes_on(ask: Ask, path: str, status: int) -> None:
    assert ask("HEAD", path) == (status, "")
    assert ask("GET", "/power") == (200, "1")


def test_what_is_no_http_is_told_so_and_let_go(connection: socket.socket, clock: PacedClock) -> None:
    connection.send(b"\x16\x03\x01\x00\xa5\x01\r\n\r\n")
    got = bytearray()

    def finished() -> bool:
        try:
            data = connection.recv(4_096)
        except BlockingIOError:
            return False
        got.extend(data)
        return not data

    _run_until(clock, finished)
    assert got.startswith(b"HTTP/1.1 400 ")


def test_somebody_who_hangs_up_in_the_middle_disturbs_nobody(
    server: ControlServer, gateway: Gateway, clock: PacedClock
) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as made:
        made.send(b"PUT /power HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n")
    clock.run_for(20_000_000)
    assert gateway.powered
    assert not server._exchanges


def test_silent_connections_make_room_for_who_comes_later(poller: Poller, gateway: Gateway, clock: PacedClock) -> None:
    now_s = 100.0
    cards = CardBox(gateway, "4M")
    server = ControlServer(poller, ControlFace(gateway, cards), "127.0.0.1", 0, now_s=lambda: now_s)
    host, _, port = server.url.removeprefix("http://").partition(":")
    made: list[socket.socket] = []

    def connect() -> socket.socket:
        made.append(socket.create_connection((host, int(port))))
        made[-1].setblocking(False)
        clock.run_for(2_000_000)
        return made[-1]

    def is_closed(connection: socket.socket) -> bool:
        try:
            return connection.recv(4_096) == b""
        except BlockingIOError:
            return False

    try:
        for _ in range(MAX_CONNECTIONS):
            connect()
        _run_until(clock, lambda: len(server._exchanges) == MAX_CONNECTIONS)
        now_s += IDLE_S - 1
        made[0].send(b"GET /po")  # the first one is not the one that is silent
        assert is_closed(connect()), "all are taken, and none has been silent for long"
        now_s += 1
        late = connect()
        assert not is_closed(late)
        late.send(b"GET /power HTTP/1.1\r\nhost: x\r\n\r\n")
        _run_until(clock, lambda: _has(late))
        assert late.recv(4_096).startswith(b"HTTP/1.1 200 ")
        assert [is_closed(connection) for connection in made[:MAX_CONNECTIONS]].count(True) == 1
        assert not is_closed(made[0])
    finally:
        server.close()
        cards.close()
        for connection in made:
            connection.close()


def _has(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])
