"""Sightings in Arrow."""

from collections.abc import Iterator

import pyarrow as pa

from anpr.schema import FIELDS, HIVE_COLUMNS, VEHICLE_FIELDS

_ARROW_OF_HIVE = {"string": pa.string(), "double": pa.float64(), "bigint": pa.int64()}
ARROW = pa.schema(
    [
        (
            name,
            pa.struct([(part, pa.float64() if part == "length_m" else pa.string()) for part in VEHICLE_FIELDS])
            if name == "vehicle"
            else _ARROW_OF_HIVE[hive],
        )
        for name, hive in HIVE_COLUMNS.items()
    ]
)


def rows(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    """The batch's records: the fields in order, the vehicle as whether there is one and its parts."""
    columns: list[list[object]] = []
    for name in FIELDS:
        position = batch.schema.get_field_index(name)
        if position < 0:
            raise ValueError(f"column {name} is missing")
        column = batch.column(position)
        if name != "vehicle":
            columns.append(column.to_pylist())
            continue
        parts = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
        columns.append(column.is_valid().to_pylist())
        columns.extend(parts[part].to_pylist() for part in VEHICLE_FIELDS)
    return zip(*columns, strict=True)
