"""Card precision at k: how many of the k customers that investigators can look at each day are defrauded."""

from dataclasses import dataclass

import numpy as np

from features.transaction import Int64s
from training.models import Floats, Probabilities


@dataclass(frozen=True, slots=True, eq=False)
class CardDays:
    """The customers of each day, by the highest score of their payments of the day.

    Attributes:
        days: (d,) UTC days since the epoch, ascending.
        starts: (d + 1,) where each day's customers begin in the columns below.
        customer: codes, within a day the highest score first; ties by code.
        defrauded: whether any of the customer's payments of the day was a fraud.
    """

    days: Int64s
    starts: Int64s
    customer: Int64s
    defrauded: np.ndarray[tuple[int], np.dtype[np.bool_]]


def card_days(day: Int64s, customer: Int64s, labels: Floats, scores: Probabilities) -> CardDays:
    """Return the customers (of n payments) by day and score.

    Args:
        day: (n,) UTC days since the epoch.
        customer: (n,) codes.
        labels: (n,) 0.0 or 1.0.
        scores: (n,).
    """
    order = np.lexsort((-np.asarray(scores, np.float64), customer, day))
    new_card = np.ones(len(order), bool)
    new_card[1:] = (np.diff(day[order]) != 0) | (np.diff(customer[order]) != 0)
    first = np.flatnonzero(new_card)
    # The first payment of each card and day has its highest score.
    top = order[first]
    defrauded = np.maximum.reduceat(labels[order], first) > 0 if len(first) else np.zeros(0, bool)
    ranked = np.lexsort((customer[top], -np.asarray(scores, np.float64)[top], day[top]))
    days, starts = np.unique(day[top][ranked], return_index=True)
    return CardDays(days, np.append(starts, len(ranked)), customer[top][ranked], defrauded[ranked])


def card_precision_by_day(cards: CardDays, k: int, weights: Floats) -> Floats:
    """Return the precision among the k highest customers of each day, (d, r) for r weightings.

    A customer who was found to be defrauded is left out on later days (Fraud Detection Handbook, chapter 4,
    ``card_precision_top_k``). A customer of weight w takes the place of w customers. A day with fewer than k
    customers is still divided by k.

    Args:
        cards: the days.
        k: customers that can be looked at a day.
        weights: (customers, r).
    """
    left = weights.copy()
    precision = np.zeros((len(cards.days), weights.shape[1]))
    for position, (start, end) in enumerate(zip(cards.starts[:-1], cards.starts[1:], strict=True)):
        stop = start + _reaching(k, left, cards.customer[start:end])
        who, defrauded = cards.customer[start:stop], cards.defrauded[start:stop]
        weight = left[who]
        before = np.cumsum(weight, axis=0) - weight
        taken = np.clip(k - before, 0, weight)
        precision[position] = taken[defrauded].sum(axis=0) / k
        found = who[defrauded]
        left[found] = np.where(taken[defrauded] > 0, 0.0, left[found])
    return precision


def _reaching(k: int, left: Floats, customer: Int64s) -> int:
    """Return how many of a day's customers suffice to fill k places under every weighting."""
    enough = 2 * k
    while enough < len(customer) and left[customer[:enough]].sum(axis=0).min() < k:
        enough *= 2
    return min(enough, len(customer))
