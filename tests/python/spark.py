"""Spark on this machine: one session for all tests, started when the first of them asks for it."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

THREADS = 2


@functools.cache
def session() -> SparkSession:
    """The session. It ends with this process."""
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    settings = {
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": f"{THREADS}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    return SparkSession.builder.master(f"local[{THREADS}]").config(map=settings).getOrCreate()


def write(
    frame: DataFrame,
    form: str,
    folder: Path,
    partition_by: list[str] | None = None,
    options: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> list[Path]:
    """Writes a frame below a folder, with a writer's options and a session's settings; answers with the files of data."""
    conf = session().conf
    for name, value in (settings or {}).items():
        conf.set(name, value)
    try:
        frame.write.partitionBy(*partition_by or []).options(**options or {}).format(form).save(str(folder))
    finally:
        for name in settings or {}:
            conf.unset(name)
    return sorted(path for path in folder.rglob(f"*.{form}") if not path.name.startswith((".", "_")))
