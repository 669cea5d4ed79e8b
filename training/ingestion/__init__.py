"""The parts of ingestion: mapping, sources, columns, checks, day buckets, rejections."""
