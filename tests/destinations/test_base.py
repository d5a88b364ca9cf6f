"""What every vendor shares: the status table, Retry-After, and laying fields over an event."""

from __future__ import annotations

import time

import pytest

from itly_core.destinations.base import answered_at_s, classify_status, laid_over, retry_after_s
from itly_core.wire import Bisect, Hold, Ok, Reject, Response, Retry, Split

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Ok()) for status in (200, 201, 202, 204)),
        *(
            (status, Hold(f"HTTP {status}: redirect; set `endpoint` to the final address"))
            for status in (301, 302, 308)
        ),
        *((status, Bisect(f"HTTP {status}")) for status in (400, 422)),
        *((status, Hold(f"HTTP {status}")) for status in (401, 403, 404, 405, 410, 415)),
        (413, Split()),
        (429, Retry("HTTP 429", throttled=True)),
        *((status, Retry(f"HTTP {status}")) for status in (425, 503)),
        *(
            (status, Retry(f"HTTP {status}", ambiguous=True))
            for status in (408, 500, 502, 504, 520, 521, 522, 523, 524, 529)
        ),
        *((status, Reject(f"HTTP {status}")) for status in (402, 406, 409, 451, 501, 505)),
    ],
    ids=str,
)
def test_each_status_has_its_outcome(status, outcome):
    assert classify_status(Response(status), 2, NOW_S) == outcome


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("3", 3.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1.5", 1.5),
        ("100000", 300.0),
        ("Thu, 01 Jan 2026 00:00:05 GMT", 5.0),
        ("Thu, 01 Jan 2026 00:00:05", 5.0),
        ("Thu, 01 Jan 2026 00:00:05 -0000", 5.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
    ],
    ids=repr,
)
def test_retry_after_is_read_in_both_forms_and_bounded(value, expected):
    assert retry_after_s(value, NOW_S) == expected


def test_dates_are_meant_in_the_vendors_own_time():
    assert answered_at_s(Response(429, {"date": "Thu, 01 Jan 2026 00:00:00 GMT"})) == NOW_S
    assert answered_at_s(Response(429, {"date": "Thu, 01 Jan 2026 00:00:00"})) == NOW_S


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}], ids=["none", "unreadable"])
def test_without_a_date_our_clock_counts(headers):
    before_s = time.time()

    assert before_s <= answered_at_s(Response(429, headers)) <= time.time()


def test_objects_are_merged_and_other_values_replaced():
    inner = {"a": 1, "deep": {"x": 1}}
    base = {"inner": inner, "list": [1], "kept": 1}

    merged = laid_over(base, {"inner": {"b": 2, "deep": {"y": 2}}, "list": [2], "new": {"c": 3}})

    assert merged == {
        "inner": {"a": 1, "deep": {"x": 1, "y": 2}, "b": 2},
        "list": [2],
        "kept": 1,
        "new": {"c": 3},
    }
    assert inner == {"a": 1, "deep": {"x": 1}}
