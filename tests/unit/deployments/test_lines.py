"""Lines out of a stream that is cut anywhere."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deployments.lines import LineSplitter

LIMIT = 8
some_lines = st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=6)


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(some_lines, st.lists(st.integers(0, 200), max_size=8), st.booleans())
def test_lines_are_the_same_wherever_the_stream_is_cut(lines: list[bytes], cuts: list[int], ended: bool) -> None:
    data = b"\n".join(lines) + b"\n" * ended
    splitter = LineSplitter(LIMIT)
    found = [line for piece in split_at(data, cuts) for line in splitter.feed(piece)]
    found += splitter.rest()
    assert found == [line[: LIMIT + 1] for line in lines if line.strip()]


def test_every_cut_of_two_lines_gives_both() -> None:
    data = b'{"a":1}\n\r\n{"b":2}'
    for cut in range(len(data) + 1):
        splitter = LineSplitter(LIMIT)
        found = [*splitter.feed(data[:cut]), *splitter.feed(data[cut:]), *splitter.rest()]
        assert found == [b'{"a":1}', b'{"b":2}']


def test_of_a_line_without_an_end_no_more_than_the_bound_is_held() -> None:
    splitter = LineSplitter(LIMIT)
    for _ in range(1000):
        assert splitter.feed(b"x" * 100) == []
    assert splitter.feed(b"x\nshort\n") == [b"x" * (LIMIT + 1), b"short"]


def test_a_line_of_just_the_bound_is_whole() -> None:
    assert LineSplitter(LIMIT).feed(b"x" * LIMIT + b"\n") == [b"x" * LIMIT]
