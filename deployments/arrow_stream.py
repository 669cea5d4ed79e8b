"""An Arrow IPC stream from a stranger, read within bounds: nothing in it is believed before it was looked at."""

import struct
from collections.abc import Iterator
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]

from features.arrow_rows import check_schema
from features.errors import InvalidStream, InvalidTransaction

NO_STREAM: Final = "must be an Arrow IPC stream"

# Where Arrow's Message.fbs and its RecordBatch have what is asked for here, as numbers of their fields.
_HEADER: Final = 2
_LENGTH: Final = 0
_COMPRESSION: Final = 3
_DICTIONARY_DATA: Final = 1


def read_stream(body: bytes, max_rows: int) -> pa.RecordBatch:
    """Return the rows of a stream as one batch of validated buffers, in a schema that the contract admits.

    Rows are counted before a column is read, for a column of nulls takes no bytes however long it is; and
    compressed buffers are refused, for a few bytes of them can claim any amount of memory.

    Raises:
        InvalidStream: the body is no Arrow stream, or a compressed one.
        InvalidTransaction: a column breaks the contract, or there are no rows, or too many.
    """
    try:
        rows = sum(_row_counts(body))
        if rows > max_rows:
            raise InvalidTransaction("body", f"must hold at most {max_rows} transactions, not {rows}")
        with pa.ipc.open_stream(pa.BufferReader(body)) as reader:
            check_schema(reader.schema)
            table = reader.read_all()
        if len(table) == 0:
            raise InvalidTransaction("body", f"{NO_STREAM} of at least one row")
        [batch] = table.unify_dictionaries().combine_chunks().to_batches()
        batch.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise InvalidStream(f"{NO_STREAM}: {told[:200]}") from error
    return batch


def _row_counts(body: bytes) -> Iterator[int]:
    """Yield the number of rows of each record batch.

    Raises:
        InvalidStream: buffers are compressed.
        ArrowException, OSError: the body is no stream of whole messages.
    """
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(body))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if message.type in ("record batch", "dictionary"):
            metadata = message.metadata.to_pybytes()
            batch = _table(metadata, _field(metadata, struct.unpack_from("<I", metadata)[0], _HEADER))
            if message.type == "dictionary":
                batch = _table(metadata, _field(metadata, batch, _DICTIONARY_DATA))
            if _field(metadata, batch, _COMPRESSION):
                raise InvalidStream(f"{NO_STREAM} without compression")
            length = _field(metadata, batch, _LENGTH)
            if message.type == "record batch" and length:
                yield struct.unpack_from("<q", metadata, length)[0]


def _field(flatbuffer: bytes, table: int, number: int) -> int:
    """Return where a field of a table begins; 0 when the table lacks it."""
    layout = table - struct.unpack_from("<i", flatbuffer, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", flatbuffer, layout)[0]:
        return 0
    offset: int = struct.unpack_from("<H", flatbuffer, layout + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _table(flatbuffer: bytes, field: int) -> int:
    """Return where the table begins that a field refers to."""
    offset: int = struct.unpack_from("<I", flatbuffer, field)[0]
    return field + offset
