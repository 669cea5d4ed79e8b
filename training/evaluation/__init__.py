"""Evaluation: protocols as data, metrics with intervals, slices, published baselines, and the reports on them."""
