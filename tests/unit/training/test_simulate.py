"""The simulator keeps its promises: the same files for the same seed, and each pattern behaves as it is named."""

from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from features.history import HISTORY_SCHEMA
from training.history_files import read_days
from training.simulate import SimulationReport, simulate
from training.simulation.population import distance_km, make_customers, make_merchants
from training.simulation.rows import FRAUD_PATTERNS
from training.simulation.world import World

N, DAYS, RATE = 60_000, 60, 0.02


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulationReport:
    out = tmp_path_factory.mktemp("simulated")
    return simulate(out, transactions=N, days=DAYS, fraud_rate=RATE, show_progress=False)


@pytest.fixture(scope="module")
def history(simulated: SimulationReport) -> pd.DataFrame:
    frame: pd.DataFrame = read_days(simulated.out).to_pandas()
    frame["hour"] = frame.event_time.dt.hour
    frame["amount"] = frame.amount_minor / 100
    return frame


@pytest.fixture(scope="module")
def ordinary(history: pd.DataFrame) -> pd.DataFrame:
    return history[history.is_fraud == 0]


def frauds(history: pd.DataFrame, pattern: str) -> pd.DataFrame:
    return history[history.fraud_pattern == pattern]


def digests(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(f.relative_to(folder)): sha256(f.read_bytes()).hexdigest() for f in files}


def speeds_kmh(history: pd.DataFrame) -> "pd.Series[float]":
    """Return the speed from each customer's placed transaction before, for rows that have a place."""
    placed = history[history.lat.notna()].sort_values(["customer_id", "event_time"], kind="stable")
    before = placed.groupby("customer_id")[["lat", "long", "event_time"]].shift()
    km = distance_km(*(x.to_numpy(float) for x in (before.lat, before.long, placed.lat, placed.long)))
    hours = (placed.event_time - before.event_time).dt.total_seconds() / 3600
    return pd.Series(km, index=placed.index) / hours.clip(lower=1 / 60)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate(tmp_path / name, transactions=5_000, days=10, seed=3, show_progress=False)
    simulate(tmp_path / "c", transactions=5_000, days=10, seed=4, show_progress=False)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a") != digests(tmp_path / "c")


def test_the_history_has_the_schema_the_rows_and_the_days_asked_for(simulated: SimulationReport) -> None:
    files = sorted(simulated.out.rglob("*.parquet"))
    assert [f.relative_to(simulated.out).as_posix() for f in files[:2]] == [
        "day=2025-01-01/part-0.parquet",
        "day=2025-01-02/part-0.parquet",
    ]
    assert len(files) == DAYS
    assert all(pq.read_schema(file).equals(HISTORY_SCHEMA) for file in files)
    assert (simulated.first_day, simulated.last_day) == (date(2025, 1, 1), date(2025, 3, 1))
    assert simulated.transactions == sum(pq.read_metadata(file).num_rows for file in files) == N


def test_rows_are_sorted_within_their_day(simulated: SimulationReport, history: pd.DataFrame) -> None:
    assert history.event_time.is_monotonic_increasing
    for file in simulated.out.rglob("*.parquet"):
        day = pq.read_table(file).to_pandas().event_time.dt.strftime("day=%Y-%m-%d")
        assert set(day) == {file.parent.name}


def test_every_row_keeps_the_contract_at_the_door(history: pd.DataFrame) -> None:
    assert history.transaction_id.is_unique
    for column in ("transaction_id", "customer_id", "merchant_id", "device_id", "merchant_category"):
        assert history[column].dropna().str.len().between(1, 64).all(), column
    assert history.amount_minor.between(1, 100_000 * 100).all()
    assert (history.lat.isna() == history.long.isna()).all()
    assert history.lat.dropna().between(-90, 90).all()
    assert history.long.dropna().between(-180, 180).all()
    assert history.arrival.isna().all()


def test_frauds_are_as_many_as_asked_for_and_each_has_its_pattern(
    simulated: SimulationReport, history: pd.DataFrame
) -> None:
    assert history.is_fraud.mean() == pytest.approx(RATE, rel=0.15)
    assert (history.fraud_pattern.notna() == (history.is_fraud == 1)).all()
    assert history.fraud_pattern.value_counts().to_dict() == simulated.patterns
    assert simulated.frauds == history.is_fraud.sum()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), days=st.integers(7, 90), transactions=st.integers(1_000, 3_000))
def test_every_pattern_is_in_even_the_smallest_history(
    tmp_path_factory: pytest.TempPathFactory, seed: int, days: int, transactions: int
) -> None:
    out = tmp_path_factory.mktemp("small")
    report = simulate(out, transactions=transactions, days=days, seed=seed, show_progress=False)
    assert min(report.patterns.values()) >= 1
    assert tuple(report.patterns) == FRAUD_PATTERNS
    assert report.transactions == transactions


def campaigns(history: pd.DataFrame, pattern: str) -> Iterator[pd.DataFrame]:
    """Yield each customer's frauds of a pattern, split where a day passes without one."""
    for _, rows in frauds(history, pattern).groupby("customer_id"):
        breaks = (rows.event_time.diff() > pd.Timedelta(days=1)).cumsum()
        for _, part in rows.groupby(breaks):
            yield part


def test_card_testing_is_many_tiny_amounts_in_minutes_and_then_a_large_one(history: pd.DataFrame) -> None:
    seen = 0
    for rows in campaigns(history, "card_testing"):
        tiny, large = rows[rows.amount <= 4.0], rows[rows.amount > 4.0]
        if len(large) != 1:  # two thieves with one card at once
            continue
        seen += 1
        assert len(tiny) >= 4
        assert tiny.event_time.max() - tiny.event_time.min() < pd.Timedelta(minutes=30)
        assert tiny.merchant_id.nunique() == 1
        assert large.event_time.iloc[0] >= tiny.event_time.max()
        assert large.amount.iloc[0] >= 10 * tiny.amount.mean()
    assert seen >= 20


def test_account_takeover_is_far_away_at_night_for_large_amounts_from_a_new_device(
    history: pd.DataFrame, ordinary: pd.DataFrame
) -> None:
    rows = frauds(history, "account_takeover")
    first = rows.sort_values("event_time").groupby(["customer_id", "device_id"]).head(1)
    speed = speeds_kmh(history).reindex(first.index).dropna()
    assert (speed > 900).mean() > 0.6
    known_devices = set(ordinary.device_id.dropna())
    assert (~rows.device_id.isin(known_devices)).mean() > 0.6
    assert ((rows.hour >= 20) | (rows.hour <= 6)).mean() > 0.6
    usual = ordinary.groupby("customer_id").amount.median()
    assert (rows.amount.to_numpy() / usual.reindex(rows.customer_id).to_numpy() > 2).mean() > 0.5


def test_a_compromised_merchant_defrauds_customers_who_paid_there_before_at_ordinary_amounts(
    history: pd.DataFrame,
) -> None:
    rows = frauds(history, "compromised_merchant")
    first_visit = history.groupby(["customer_id", "merchant_id"]).event_time.min()
    visited = first_visit.reindex(pd.MultiIndex.from_frame(rows[["customer_id", "merchant_id"]]))
    assert (rows.event_time.to_numpy() > visited.to_numpy()).all()
    span = rows.groupby("merchant_id").event_time.agg(lambda times: times.max() - times.min())
    assert span.max() < pd.Timedelta(days=50)
    others = history[history.merchant_id.isin(rows.merchant_id) & (history.is_fraud == 0)]
    assert 0.6 < rows.amount.median() / others.amount.median() < 1.6
    assert rows.merchant_id.nunique() >= 5


def test_bust_out_amounts_rise(history: pd.DataFrame) -> None:
    rises = [
        rows.amount.iloc[-3:].mean() / rows.amount.iloc[:3].mean()
        for _, rows in frauds(history, "bust_out").groupby("customer_id")
        if len(rows) >= 7
    ]
    assert len(rises) >= 5
    assert np.median(rises) > 4
    assert min(rises) > 1


def test_a_device_farm_pays_for_many_customers_with_one_device(history: pd.DataFrame) -> None:
    customers = frauds(history, "device_farm").groupby("device_id").customer_id.nunique()
    assert customers.min() >= 4
    assert len(customers) >= 3
    before = set(history[history.is_fraud == 0].customer_id)
    stolen = frauds(history, "device_farm").customer_id.isin(before)
    assert 0.5 < stolen.mean() < 0.95


def test_ordinary_customers_start_with_large_purchases_by_day(
    ordinary: pd.DataFrame, history: pd.DataFrame
) -> None:
    first = history.groupby("customer_id").head(1)
    large = first[first.amount.between(300, 1500) & first.hour.between(9, 18)]
    assert len(large) / first.hour.between(9, 18).sum() > 0.12
    assert large.is_fraud.mean() < 0.05
    assert ordinary.amount.max() > 2_000
    # New customers come all the time, active ones as well.
    active = history.customer_id.value_counts().loc[lambda counts: counts >= 50].index
    joined = first[first.customer_id.isin(active)].event_time.dt.day_of_year
    assert (joined > DAYS / 3).mean() > 0.05


def test_ordinary_payments_include_what_looks_like_fraud(ordinary: pd.DataFrame) -> None:
    assert (ordinary.hour < 5).mean() > 0.02
    speed = speeds_kmh(ordinary)
    assert (speed > 3_000).sum() >= 10
    assert (speed > 900).mean() < 0.005
    assert (ordinary.groupby("device_id").customer_id.nunique() >= 10).sum() >= 2
    tiny = ordinary[ordinary.amount < 4.0].sort_values(["customer_id", "event_time"], kind="stable")
    pause = tiny.groupby("customer_id").event_time.diff()
    assert (pause < pd.Timedelta(minutes=5)).sum() >= 60
    places = ordinary.groupby("customer_id").lat.agg(lambda lat: lat.max() - lat.min())
    assert (places > 5).mean() > 0.1  # degrees: journeys


def test_activity_and_popularity_have_heavy_tails(ordinary: pd.DataFrame) -> None:
    for column in ("customer_id", "merchant_id"):
        counts = ordinary[column].value_counts()
        assert counts.iloc[0] > 4 * counts.median(), column


@pytest.mark.parametrize("column", ["customer_id", "merchant_id", "device_id"])
def test_the_number_in_an_id_says_nothing_of_fraud(history: pd.DataFrame, column: str) -> None:
    rows = history[history[column].notna()].drop_duplicates([column, "is_fraud"])
    number = rows[column].str[1:].astype(int)
    assert 0.4 < roc_auc_score(rows.is_fraud, number) < 0.6


@pytest.mark.parametrize("column", ["amount_minor", "hour", "lat", "long"])
def test_no_column_alone_tells_fraud(history: pd.DataFrame, column: str) -> None:
    rows = history[history[column].notna()]
    area = roc_auc_score(rows.is_fraud, rows[column])
    assert max(area, 1 - area) < 0.8


def test_words_of_frauds_are_words_of_ordinary_payments(history: pd.DataFrame, ordinary: pd.DataFrame) -> None:
    for column in ("currency", "merchant_category", "transaction_type", "geo_location"):
        assert set(history[history.is_fraud == 1][column].dropna()) <= set(ordinary[column].dropna()), column


def test_a_history_is_not_overwritten_unasked(simulated: SimulationReport) -> None:
    with pytest.raises(InvalidHistory, match="not empty"):
        simulate(simulated.out, transactions=1_000, days=7, show_progress=False)


def test_a_history_is_overwritten_when_asked(tmp_path: Path) -> None:
    simulate(tmp_path, transactions=1_000, days=9, show_progress=False)
    simulate(tmp_path, transactions=1_000, days=7, overwrite=True, show_progress=False)
    assert len(list(tmp_path.iterdir())) == 7


def test_customers_merchants_and_start_can_be_given(tmp_path: Path) -> None:
    report = simulate(
        tmp_path,
        transactions=2_000,
        days=7,
        start=date(2024, 2, 26),
        customers=40,
        merchants=70,
        show_progress=False,
    )
    assert report.customers <= 40 + 10  # made-up ones of a device farm
    assert report.merchants <= 70
    assert (report.first_day, report.last_day) == (date(2024, 2, 26), date(2024, 3, 3))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"transactions": 999}, "transactions"),
        ({"days": 6}, "days"),
        ({"fraud_rate": 0.0}, "fraud_rate"),
        ({"customers": 5}, "customers"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, argument: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path / "h", **argument)  # type: ignore[arg-type]
    assert not (tmp_path / "h").exists()


def test_made_up_customers_are_used_once_and_run_out() -> None:
    rng = np.random.default_rng(1)
    merchants = make_merchants(rng, 60)
    customers = make_customers(rng, 20, 3, 10, merchants)
    world = World(rng, None, 10, customers, merchants, 0, 20)  # type: ignore[arg-type]
    assert world.made_up_customers(2).tolist() == [20, 21]
    assert world.made_up_customers(2).tolist() == [22]
    assert world.new_devices(2).tolist() == [0, 1]
    assert world.new_devices(1).tolist() == [2]
