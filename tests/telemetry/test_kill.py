"""A collector hears of a run whose process was killed twice: one trace, and each span once."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from agnt5.events.traces import span_id_of

ROOT = Path(__file__).resolve().parents[2]


class Receiver(HTTPServer):
    """What a collector hears, span by span, with the name of the service that tells it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, Span]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.server.spans += [(names["service.name"], span) for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def receiver():
    found = Receiver()
    thread = threading.Thread(target=found.serve_forever, args=(0.05,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_run_that_was_killed_twice_is_one_trace_without_doubled_spans(receiver, tmp_path):
    arguments = [str(tmp_path / "x.db"), receiver.endpoint]
    program = str(ROOT / "tests" / "telemetry" / "killed_worker.py")
    codes, said = [], ""
    for life in range(3):
        done = subprocess.run(
            [sys.executable, program, *arguments, str(life)],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_PROXY": "127.0.0.1"},
            check=False,
        )
        codes.append(done.returncode)
        said = done.stdout + done.stderr
    assert codes == [-9, -9, 0], said
    assert said.strip() == "2"
    spans = [span for _, span in receiver.spans]
    assert len({span.trace_id for span in spans}) == 1
    assert Counter(span.span_id for span in spans).most_common(1)[0][1] == 1
    by_id = {span.span_id: span for span in spans}
    parents = {
        (span.name, by_id[span.parent_span_id].name if span.parent_span_id else None)
        for span in spans
        if span.parent_span_id in by_id or not span.parent_span_id
    }
    # The body ran three times: what it begins itself is told by its first pass alone.
    assert parents == {
        ("request", None),
        ("workflow order", "request"),
        ("step reserve", "workflow order"),
        ("attempt reserve", "step reserve"),
        ("stock", "attempt reserve"),
        ("in the body", "workflow order"),
        ("step charge", "workflow order"),
        ("attempt charge", "step charge"),
        ("bank", "attempt charge"),
        ("child pack", "workflow order"),
        ("workflow pack", "child pack"),
        ("step reserve", "workflow pack"),
        ("sleep", "workflow order"),
    }
    assert len(spans) == len(parents) + 2, "attempt reserve and stock are there twice, of two runs"
    assert by_id[bytes.fromhex(span_id_of("r1", ":charge#0", 0))].name == "attempt charge"
    cut = by_id[bytes.fromhex(span_id_of("r1", ":charge#0", 0))]
    again = [a.value.bool_value for a in cut.attributes if a.key == "agnt5.attempt.began_again"]
    assert again == [True]
    told_by = {span.name: life for life, span in receiver.spans if span.name != "attempt reserve"}
    assert told_by["stock"] == "life 2"
    assert told_by["workflow order"] == "life 2"
    first = [span.name for life, span in receiver.spans if life == "life 0"]
    assert set(first) >= {"stock", "attempt reserve", "step reserve", "in the body"}
    assert "life 1" not in {life for life, _ in receiver.spans}
