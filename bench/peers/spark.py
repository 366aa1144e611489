"""A session of Spark on this machine, which is what a Glue job is."""

from pathlib import Path

from pyspark.sql import SparkSession

from peers.common import THREADS


def session(name: str, scratch: Path) -> SparkSession:
    """The session."""
    return (
        SparkSession.builder.master(f"local[{THREADS}]")
        .appName(name)
        .config("spark.driver.memory", "6g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.local.dir", str(scratch / "spark"))
        .config("spark.log.level", "ERROR")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
