"""Spark on this machine, which is what a Glue job is: read, derive the parts, write by partition."""

from pyspark.sql import functions as F
from pyspark.sql import types as T

from anpr.schema import FIELDS, PARTITION_KEYS, TIMESTAMP, VEHICLE_FIELDS
from peers.common import work
from peers.spark import session

TEXT, NUMBER = T.StringType(), T.DoubleType()
VEHICLE = T.StructType([T.StructField(name, NUMBER if name == "length_m" else TEXT) for name in VEHICLE_FIELDS])
TYPES: dict[str, T.DataType] = dict.fromkeys(FIELDS, TEXT) | {
    "lat": NUMBER,
    "lon": NUMBER,
    "speed": NUMBER,
    "confidence": NUMBER,
    "lane": T.LongType(),
    "vehicle": VEHICLE,
}


def main() -> None:
    """Does the work."""
    given = work(".json.gz")
    spark = session("rekey", given.scratch)
    time = F.col(TIMESTAMP).cast("timestamp")
    parts = {"year": F.year(time), "month": F.month(time), "day": F.dayofmonth(time), "hour": F.hour(time)}
    schema = T.StructType([T.StructField(name, kind) for name, kind in TYPES.items()])
    (
        spark.read.schema(schema)
        .json(given.inputs)
        .withColumns(parts)
        .write.mode("overwrite")
        .partitionBy(*PARTITION_KEYS)
        .option("compression", "snappy")
        .parquet(str(given.output))
    )
    spark.stop()


if __name__ == "__main__":
    main()
