"""The CSV files of a run, as locust writes them."""

from pathlib import Path

PERCENTILES = "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%"


def write_run(folder: Path, *, failures: int = 2, first_s: int = 1000, seconds: int = 3) -> None:
    """Write a run of two endpoints."""
    latencies = "10,11,12,13,14,15,16,90,95,99,100"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "locust_stats.csv").write_text(
        "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,"
        f"Max Response Time,Average Content Size,Requests/s,Failures/s,{PERCENTILES}\n"
        f"POST,/predict,100,{failures},10,12.5,1,100,300,50.0,1.0,{latencies}\n"
        f"POST,/predict/batch,0,0,0,0,0,0,0,0.0,0.0,{','.join(['N/A'] * 11)}\n"
        f",Aggregated,100,{failures},10,12.5,1,100,300,50.0,1.0,{latencies}\n"
    )
    rows = [f"{first_s},0,,Aggregated,0.0,0.0,{','.join(['N/A'] * 11)},0,0,0,0,0,0,0"]
    for second in range(1, seconds):
        for kind, name in (("POST", "/predict"), ("", "Aggregated")):
            rows.append(f"{first_s + second},{8 * second},{kind},{name},50.5,0.5,{latencies},9,0,1,1,1,1,1")
    (folder / "locust_stats_history.csv").write_text(
        f"Timestamp,User Count,Type,Name,Requests/s,Failures/s,{PERCENTILES},Total Request Count,"
        "Total Failure Count,Total Median Response Time,Total Average Response Time,Total Min Response Time,"
        "Total Max Response Time,Total Average Content Size\n" + "\n".join(rows) + "\n"
    )
    (folder / "locust_failures.csv").write_text(
        "Method,Name,Error,Occurrences\nPOST,/predict,rare,1\nPOST,/predict,frequent,7\n"
    )
