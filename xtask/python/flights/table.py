"""The Glue table of the flights, as a crawler would register it: data that the stack finds, not wiring of it."""

from typing import Any

from localcloud.clients import client

DATABASE, TABLE = "lake", "flights"
DAYS = ["year", "month", "day"]
HOURS = [*DAYS, "hour"]
COLUMNS = {
    "local_year": "int",
    "local_month": "int",
    "local_day": "int",
    "dep_time": "int",
    "sched_dep_time": "int",
    "dep_delay": "int",
    "arr_time": "int",
    "sched_arr_time": "int",
    "arr_delay": "int",
    "carrier": "string",
    "flight": "int",
    "tailnum": "string",
    "origin": "string",
    "dest": "string",
    "air_time": "int",
    "distance": "int",
    "local_hour": "int",
    "local_minute": "int",
    "time_hour": "timestamp",
}


def table_input(name: str, location: str, columns: dict[str, str], partition_keys: list[str]) -> dict[str, Any]:
    """A Parquet table as Glue's crawlers describe it."""
    hive = "org.apache.hadoop.hive.ql.io.parquet"
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "typeOfData": "file", "EXTERNAL": "TRUE"},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in partition_keys],
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
            "Location": location,
            "InputFormat": f"{hive}.MapredParquetInputFormat",
            "OutputFormat": f"{hive}.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": f"{hive}.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
        },
    }


def create(location: str, partition_keys: list[str], database: str = DATABASE) -> None:
    """Registers the database, unless the stack made it, and the table."""
    glue = client("glue")
    try:
        glue.create_database(DatabaseInput={"Name": database})
    except glue.exceptions.AlreadyExistsException:
        pass
    glue.create_table(DatabaseName=database, TableInput=table_input(TABLE, location, COLUMNS, partition_keys))
