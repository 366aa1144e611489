"""Spark: the rows of each partition are brought together and written as one file."""

from anpr.schema import PARTITION_KEYS
from peers.common import work
from peers.spark import session


def main() -> None:
    """Does the work."""
    given = work(".parquet")
    spark = session("compact", given.scratch)
    # The folders above the partitions are the table.
    root = given.inputs[0].split("/year=", 1)[0]
    table = spark.read.option("basePath", root).parquet(root)
    (
        table.repartition(*PARTITION_KEYS)
        .write.mode("overwrite")
        .partitionBy(*PARTITION_KEYS)
        .option("compression", "snappy")
        .parquet(str(given.output))
    )
    spark.stop()


if __name__ == "__main__":
    main()
