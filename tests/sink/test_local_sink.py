"""The local sink answers as the vendors do, and misbehaves as told."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from sample_projects.local_sink import LocalSink

PROGRAM = Path(__file__).parents[2] / "sample_projects" / "local_sink.py"


def track(user: str = "user-1", **more: Any) -> dict[str, Any]:
    return {"event_type": "Seen", "user_id": user, "event_properties": {}, **more}


def amplitude(sink: LocalSink, *events: dict[str, Any], **more: Any) -> requests.Response:
    return requests.post(sink.amplitude_url, json={"api_key": "AK", "events": events, **more}, timeout=5)


def segment(sink: LocalSink, *messages: dict[str, Any], **more: Any) -> requests.Response:
    return requests.post(sink.segment_url, json={"writeKey": "WK", "batch": messages, **more}, timeout=5)


def test_amplitude_takes_events_and_says_how_many(sink: LocalSink) -> None:
    answer = amplitude(sink, track(), track())

    assert answer.status_code == 200
    assert answer.json()["events_ingested"] == 2
    assert sink.events("amplitude") == [track(), track()]


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ({"user_id": "user-1"}, {"events_with_missing_fields": {"event_type": [0]}}),
        ({"event_type": "Seen"}, {"events_with_missing_fields": {"user_id": [0]}}),
        (track(time="yesterday"), {"events_with_invalid_fields": {"time": [0]}}),
        (track("7"), {"events_with_invalid_id_lengths": {"user_id": [0]}}),
    ],
    ids=["no name", "no id", "bad time", "short id"],
)
def test_amplitude_names_the_events_it_refuses(sink: LocalSink, event: dict[str, Any], names: dict[str, Any]) -> None:
    answer = amplitude(sink, event)

    assert answer.status_code == 400
    assert names.items() <= answer.json().items()
    assert sink.events() == []


def test_amplitude_takes_short_ids_when_asked_to(sink: LocalSink) -> None:
    assert amplitude(sink, track("7"), options={"min_id_length": 1}).status_code == 200


def test_amplitude_needs_a_key(sink: LocalSink) -> None:
    answer = requests.post(sink.amplitude_url, json={"events": [track()]}, timeout=5)

    assert (answer.status_code, answer.json()["missing_field"]) == (400, "api_key")


def test_segment_takes_messages_and_hides_what_it_refuses(sink: LocalSink) -> None:
    good = {"type": "track", "event": "Seen", "userId": "7"}
    answer = segment(sink, good, {"type": "track", "userId": "7"})

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert sink.events("segment") == [good]
    assert sink.requests[0].refused == [{"type": "track", "userId": "7"}]


def test_segment_takes_a_gzipped_body_with_basic_authentication(sink: LocalSink) -> None:
    body = gzip.compress(json.dumps({"batch": [{"type": "identify", "userId": "7"}]}).encode())
    answer = requests.post(
        sink.segment_url, data=body, headers={"Content-Encoding": "gzip"}, auth=("WK", ""), timeout=5
    )

    assert answer.status_code == 200
    assert sink.count("segment") == 1


def test_segment_without_a_key_is_refused(sink: LocalSink) -> None:
    assert requests.post(sink.segment_url, json={"batch": []}, timeout=5).status_code == 401


def test_any_other_path_takes_json(sink: LocalSink) -> None:
    requests.post(f"{sink.url}/hook", json=[{"a": 1}, {"a": 2}], timeout=5)

    assert sink.events("/hook") == sink.events("generic") == [{"a": 1}, {"a": 2}]


def test_one_connection_carries_many_requests(sink: LocalSink) -> None:
    with requests.Session() as session:
        for _ in range(3):
            session.post(sink.amplitude_url, json={"api_key": "AK", "events": [track()]}, timeout=5)

    assert len({request.connection for request in sink.requests}) == 1


def test_waiting_ends_when_the_events_are_there(sink: LocalSink) -> None:
    threading.Timer(0.05, amplitude, (sink, track(), track())).start()

    assert len(sink.wait_for(2, timeout_s=5)) == 2


def test_waiting_in_vain_says_what_did_arrive(sink: LocalSink) -> None:
    sink.script(status=503)
    amplitude(sink, track())

    with pytest.raises(TimeoutError, match=r"0 of 1 events .* 1 requests, last answers \[503\]"):
        sink.wait_for(1, timeout_s=0.01)


def test_a_scripted_status_holds_for_that_many_requests(sink: LocalSink) -> None:
    sink.script(status=503, times=2)

    assert [amplitude(sink, track()).status_code for _ in range(3)] == [503, 503, 200]
    assert sink.count() == 1


def test_a_fault_may_be_bound_to_a_path(sink: LocalSink) -> None:
    sink.script(path="/v1/batch", status=500)

    assert amplitude(sink, track()).status_code == 200
    assert segment(sink).status_code == 500


def test_throttling_carries_retry_after(sink: LocalSink) -> None:
    sink.script(retry_after=2)
    answer = amplitude(sink, track())

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")


def test_large_bodies_are_refused_above_the_scripted_size(sink: LocalSink) -> None:
    sink.script(above_bytes=200)

    assert amplitude(sink, track()).status_code == 200
    assert amplitude(sink, *[track()] * 10).status_code == 413


def test_a_poison_event_is_named(sink: LocalSink) -> None:
    sink.script(match={"event_properties": {"poison": True}})
    answer = amplitude(sink, track(), track(event_properties={"poison": True}))

    assert answer.status_code == 400
    assert answer.json()["events_with_invalid_fields"] == {"event_properties": [1]}
    assert amplitude(sink, track()).status_code == 200


def test_a_poison_event_may_stay_unnamed(sink: LocalSink) -> None:
    sink.script(match=lambda event: event["user_id"] == "user-2", named=False)
    answer = amplitude(sink, track(), track("user-2"))

    assert answer.status_code == 400
    assert "events_with_invalid_fields" not in answer.json()


def test_a_delay_comes_before_the_usual_answer(sink: LocalSink) -> None:
    sink.script(delay_s=0.1)
    started = time.monotonic()

    assert amplitude(sink, track()).status_code == 200
    assert time.monotonic() - started >= 0.1


def test_a_reset_takes_nothing(sink: LocalSink) -> None:
    sink.script(reset=True, times=1)
    with pytest.raises(requests.ConnectionError):
        amplitude(sink, track())

    assert sink.count() == 0
    assert amplitude(sink, track()).status_code == 200


def test_a_swallowed_answer_took_the_events(sink: LocalSink) -> None:
    sink.script(swallow=True, times=1)
    with pytest.raises(requests.ConnectionError):
        amplitude(sink, track())

    assert sink.count() == 1


def test_an_outage_refuses_connections_and_ends(sink: LocalSink) -> None:
    sink.go_down()
    with pytest.raises(requests.ConnectionError):
        amplitude(sink, track())
    sink.go_up()

    assert amplitude(sink, track()).status_code == 200


def test_an_outage_cuts_open_connections(sink: LocalSink) -> None:
    with requests.Session() as session:
        session.post(sink.amplitude_url, json={"api_key": "AK", "events": [track()]}, timeout=5)
        sink.go_down()
        with pytest.raises(requests.ConnectionError):
            session.post(sink.amplitude_url, json={"api_key": "AK", "events": [track()]}, timeout=5)


def test_healing_ends_every_fault(sink: LocalSink) -> None:
    sink.script(status=500)
    sink.go_down()
    sink.heal()

    assert amplitude(sink, track()).status_code == 200


def test_counting_only_keeps_nothing() -> None:
    with LocalSink(keep=False) as sink:
        amplitude(sink, track(), track())

        assert (sink.count("amplitude"), sink.requests) == (2, [])


def test_other_processes_read_and_script_over_http() -> None:
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), "--print", "--seconds", "30"], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        url = re.findall(r"http://\S+", program.stdout.readline())[0]
        requests.post(f"{url}/_script", json={"status": 503, "times": 1}, timeout=5)
        body = {"api_key": "AK", "events": [track()]}
        statuses = [requests.post(f"{url}/2/httpapi", json=body, timeout=5).status_code for _ in range(2)]
        arrived = requests.get(f"{url}/_events?n=1&timeout_s=5", timeout=10).json()
        late = requests.get(f"{url}/_events?n=2&timeout_s=0.01", timeout=10)
        program.send_signal(signal.SIGTERM)

        assert statuses == [503, 200]
        assert arrived["events"] == [{"vendor": "amplitude", "path": "/2/httpapi", "event": track()}]
        assert late.status_code == 408
        assert json.loads(program.stdout.readline()) == {"vendor": "amplitude", "event": track()}
        assert program.wait(5) == 0
