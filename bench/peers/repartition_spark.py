"""Spark: `partitionBy`, `repartition(n)` and `coalesce(1)`, a write for each format."""

from pyspark.sql import DataFrame
from pyspark.sql import types as T

from peers.common import BY_COLUMNS, CODECS, FORMATS, IN_FILES, work
from peers.spark import session
from tables.schema import PARTITION_BY, PRODUCTS, VEHICLES

TYPES = {"string": T.StringType(), "bigint": T.LongType(), "double": T.DoubleType(), "boolean": T.BooleanType()}


def main() -> None:
    """Does the work."""
    given = work("")
    spark = session("repartition", given.scratch)

    def read(columns: dict[str, str]) -> DataFrame:
        schema = T.StructType([T.StructField(name, TYPES[kind]) for name, kind in columns.items()])
        return spark.read.option("header", "true").option("escape", '"').schema(schema).csv(given.inputs)

    if given.job == BY_COLUMNS:
        for form in FORMATS:
            writer = read(VEHICLES).write.mode("overwrite").partitionBy(*PARTITION_BY).option("header", "true")
            writer.format(form).save(str(given.output / form))
    elif given.job == IN_FILES:
        for form in FORMATS:
            for number in (1, 2):
                writer = read(PRODUCTS).repartition(number).write.mode("overwrite").option("header", "true")
                writer.format(form).save(str(given.output / f"{number}" / form))
    else:
        table = spark.read.parquet(*given.inputs).coalesce(1)
        for name in CODECS:
            table.write.mode("overwrite").option("compression", name).parquet(str(given.output / name))
    spark.stop()


if __name__ == "__main__":
    main()
