"""POST /predict/batch with an Arrow IPC stream, in and out: columns from the wire to the models and back."""

import logging
from typing import Final

from deployments.arrow_answer import answer_batch, to_stream
from deployments.arrow_stream import read_stream
from deployments.bulk import BulkRoad, admit_in_turns, decide_all, errors, refusal, wants_features
from deployments.errors import HANDLED, UNEXPECTED
from deployments.hot_route import Answer
from deployments.media_types import ARROW
from deployments.responses import error_json
from features.arrow_rows import admit_arrow

logger = logging.getLogger("ray.serve")

ROWS_A_TURN: Final = 2048
"""Rows that are checked before other requests have their turn: about a millisecond when they are good."""


class ArrowBulk(BulkRoad):
    """Answers a table, row by row in its order."""

    async def answer(self, body: bytes, query: bytes) -> Answer:
        """Return the answer to a request: a table, or an error of the whole in JSON. Never raises.

        What is wrong with a row stands in that row. As for JSON, an error of the first chunk answers the whole.
        """
        try:
            include_features = wants_features(query)
            table = read_stream(body, self.settings().max_arrow_rows)
            now_ms = int(self.clock() * 1000)
            admitted = await admit_in_turns(
                len(table), lambda start, stop: admit_arrow(table.slice(start, stop - start), now_ms), ROWS_A_TURN
            )
            outcome = await decide_all(self.decider, admitted.batch, include_features)
            answer = answer_batch(admitted, outcome, errors(admitted, outcome), include_features)
            return Answer(200, to_stream(answer), ARROW.encode())
        except HANDLED as error:
            return refusal(error)
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return Answer(500, error_json(UNEXPECTED))
