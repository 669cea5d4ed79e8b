"""What counts of the answers that a client got."""

from loadtests.chaos.asked import Told, longest_s, read_answer, recovery_s, totals
from tests.unit.loadtests.chaos.fakes import TOLD, Service, asked, attempt

BLOCKED = Told("BLOCK", 0.99, "3")


def test_a_payment_counts_once_however_often_it_was_tried() -> None:
    refused = attempt(503, error="overloaded", retry_after=True)
    found = totals([asked(attempt(0, error="ReadError"), refused, attempt(), attempt())])
    assert (found.requests, found.failed, found.busy, found.unanswered) == (
        1,
        0,
        {"overloaded": 1},
        {"ReadError": 1},
    )


def test_a_payment_without_a_decision_in_the_end_failed() -> None:
    assert totals([asked(attempt(0)), asked()]).failed == 2


def test_the_first_decision_says_whether_a_payment_was_decided_degraded() -> None:
    whole_later = asked(attempt(degraded=("lr",)), attempt(duplicate=True))
    assert totals([whole_later, asked(attempt())]).degraded == 1


def test_two_answers_to_one_id_that_differ_are_told() -> None:
    alike = asked(attempt(), attempt(0), attempt())
    assert totals([asked(attempt(), attempt(told=BLOCKED)), alike]).differing == 1


def test_without_the_store_a_payment_may_be_decided_anew() -> None:
    found = totals([asked(attempt(degraded=("decision_log",)), attempt(told=BLOCKED))])
    assert (found.differing, found.anew) == (0, 1)


def test_answers_that_no_client_is_told_to_expect_are_named() -> None:
    refused = [attempt(503), attempt(503, retry_after=True)]
    found = totals([asked(attempt(500, error="internal"), *refused, attempt())])
    assert found.wrong == {"500 internal": 1, "503 without Retry-After": 1}


def test_recovery_ends_with_the_last_attempt_that_was_impaired_after_the_fault() -> None:
    before, after = attempt(0, ended_s=9.0), attempt(503, ended_s=14.0, retry_after=True)
    degraded, whole = attempt(ended_s=16.5, degraded=("lr",)), attempt(ended_s=30.0)
    assert recovery_s([asked(before, after, degraded, whole)], struck_s=10.0) == 6.5
    assert recovery_s([asked(before, whole)], struck_s=10.0) == 0.0


def test_an_answer_is_read_with_all_that_must_stay_the_same() -> None:
    document = Service().decision("p-0") | {"degraded": ["lr"]}
    assert read_answer(200, document, "p-0") == (TOLD, False, ("lr",), "")


def test_an_answer_to_another_payment_is_none() -> None:
    told, _, _, error = read_answer(200, Service().decision("p-1"), "p-0")
    assert told is None
    assert "something else" in error


def test_an_error_is_named_by_its_code() -> None:
    assert read_answer(503, {"error": {"code": "overloaded"}}, "p-0")[3] == "overloaded"
    assert read_answer(500, None, "p-0")[3] == "no error document"


def test_the_longest_wait_is_from_the_first_attempt_to_the_first_decision() -> None:
    waited = asked(attempt(0, ended_s=6.0), attempt(ended_s=6.5), attempt(ended_s=20.0))
    assert longest_s([waited, asked(attempt(ended_s=1.0)), asked(attempt(0, ended_s=99.0))]) == 6.5
    assert longest_s([asked()]) == 0.0
