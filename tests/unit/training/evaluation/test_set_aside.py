from pathlib import Path

import pandas as pd
import pytest

from features.errors import InvalidHistory
from training.evaluation.set_aside import with_payments_of_nothing
from training.history_files import read_days
from training.ingest import ingest
from training.ingestion.mapping import load_mapping

SOURCE = pd.DataFrame(
    {
        "TRANSACTION_ID": [1, 2, 3, 4],
        "TX_DATETIME": pd.to_datetime(
            ["2018-04-01 10:00", "2018-04-01 11:00", "2018-04-02 00:00", "2018-04-03 09:00"]
        ),
        "CUSTOMER_ID": [7, 7, 8, 9],
        "TERMINAL_ID": [7, 1, 1, 1],
        "TX_AMOUNT": [10.5, 0.0, 3.0, -1.0],
        "TX_FRAUD": [0, 1, 0, 0],
        "TX_FRAUD_SCENARIO": [0, 2, 0, 0],
    }
)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    SOURCE.to_parquet(tmp_path / "source.parquet")
    ingest(tmp_path / "source.parquet", tmp_path / "history", load_mapping("handbook"), show_progress=False)
    return tmp_path / "history"


def test_payments_of_nothing_come_back_in_order_of_time_and_negative_ones_do_not(history: Path) -> None:
    assert read_days(history).column("transaction_id").to_pylist() == ["TX1", "TX3"]
    found = with_payments_of_nothing(history, load_mapping("handbook")).to_pylist()
    assert [row["transaction_id"] for row in found] == ["TX1", "TX2", "TX3"]
    assert (found[1]["amount_minor"], found[1]["is_fraud"], found[1]["customer_id"]) == (0, 1, "C7")
    assert found[1]["fraud_pattern"] == "compromised_terminal"


def test_another_mapping_than_that_of_the_history_is_refused(history: Path) -> None:
    with pytest.raises(InvalidHistory, match="was not ingested with this mapping"):
        with_payments_of_nothing(history, load_mapping("tollgate"))


def test_a_history_without_rejected_rows_is_read_as_it_is(tmp_path: Path, history: Path) -> None:
    SOURCE.iloc[[0, 2]].to_parquet(tmp_path / "clean.parquet")
    ingest(tmp_path / "clean.parquet", tmp_path / "clean", load_mapping("handbook"), show_progress=False)
    found = with_payments_of_nothing(tmp_path / "clean", load_mapping("handbook"))
    assert found.equals(read_days(history))
