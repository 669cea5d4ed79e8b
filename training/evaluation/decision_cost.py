"""Metrics of flagging every payment whose score reaches a threshold: hits and alarms, and what they cost."""

from dataclasses import dataclass

import numpy as np

from features.transaction import Int64s
from training.costs import Costs
from training.evaluation.probability import weighted_sum
from training.models import Floats, Probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Flagged:
    """What a threshold flags and misses, (r,) each, under r weightings of the customers.

    Attributes:
        hits, alarms, frauds: weight of the frauds flagged, of all payments flagged, and of all frauds.
        missed_minor, fraud_minor: amounts of the frauds not flagged, and of all frauds, in minor units.
    """

    hits: Floats
    alarms: Floats
    frauds: Floats
    missed_minor: Floats
    fraud_minor: Floats


def flagged(
    labels: Floats,
    scores: Probabilities,
    amount_minor: Int64s,
    customer: Int64s,
    weights: Floats,
    threshold: float,
) -> Flagged:
    """Return what is flagged when every score (n,) that reaches ``threshold`` is.

    Args:
        labels: (n,) 0.0 or 1.0.
        amount_minor: (n,).
        customer: (n,) codes of the rows in ``weights``.
        weights: (customers, r).
    """
    alarm = (np.asarray(scores, np.float64) >= threshold).astype(np.float64)
    amount = amount_minor.astype(np.float64)
    return Flagged(
        hits=weighted_sum(alarm * labels, customer, weights),
        alarms=weighted_sum(alarm, customer, weights),
        frauds=weighted_sum(labels, customer, weights),
        missed_minor=weighted_sum((1 - alarm) * labels * amount, customer, weights),
        fraud_minor=weighted_sum(labels * amount, customer, weights),
    )


def precision(outcome: Flagged) -> Floats:
    """Return the share of frauds among what was flagged (r,); 0 where nothing was."""
    return _share(outcome.hits, outcome.alarms)


def recall(outcome: Flagged) -> Floats:
    """Return the share of the frauds that was flagged (r,); NaN where there is no fraud."""
    return _share(outcome.hits, outcome.frauds, empty=np.nan)


def f1(outcome: Flagged) -> Floats:
    """Return the harmonic mean of precision and recall (r,) (van Rijsbergen, 1979).

    0 where both are, NaN where there is no fraud.
    """
    share = _share(2 * outcome.hits, outcome.alarms + outcome.frauds)
    return np.where(outcome.frauds > 0, share, np.nan)


def cost_minor(outcome: Flagged, costs: Costs) -> Floats:
    """Return what a threshold costs (r,) in minor units: what is lost by missed frauds, and a review an alarm.

    Every alarm is looked at once, and a fraud that is looked at costs no more than that (Elkan, 2001; with costs
    by example as in Bahnsen et al., 2013).
    """
    return costs.loss_share * outcome.missed_minor + costs.review_minor * outcome.alarms


def savings(outcome: Flagged, costs: Costs) -> Floats:
    """Return the share of the loss without any model that is saved (r,) (Bahnsen et al., 2013).

    1 would be perfect and free of charge, 0 is as good as no model, and below 0 it costs more than it saves.
    """
    cost, loss = cost_minor(outcome, costs), costs.loss_share * outcome.fraud_minor
    saved = np.divide(loss - cost, loss, out=np.full(np.shape(cost), np.nan), where=loss > 0)
    return np.asarray(saved)


def _share(part: Floats, whole: Floats, empty: float = 0.0) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(np.shape(part), empty), where=whole > 0)
    return share
