"""What `tollgate up` says of a service that answers."""

import json

from cluster.up import not_taken
from deployments.live_settings import NOT_TAKEN


def test_settings_that_were_refused_are_told_and_other_problems_are_not() -> None:
    parts = {
        "router": {"ok": True, "detail": "version 1", "problem": f"{NOT_TAKEN}: rule bad: 'amuont' is no feature"},
        "decision_log": {"ok": True, "detail": "", "problem": "12 bytes of decisions wait in the spool"},
        "features": {"ok": True, "detail": "", "problem": ""},
    }
    assert not_taken(json.dumps({"ready": True, "dependencies": parts})) == [
        f"router: {NOT_TAKEN}: rule bad: 'amuont' is no feature"
    ]


def test_a_stranger_is_told_none() -> None:
    assert not_taken('{"ready": true}') == []
