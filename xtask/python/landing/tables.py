"""Glue tables of what files hold, as a crawler would register them."""

from typing import Any

from flights.table import table_input
from landing.records import Csv
from localcloud.clients import client

_HIVE = "org.apache.hadoop"
_TEXT = {
    "InputFormat": f"{_HIVE}.mapred.TextInputFormat",
    "OutputFormat": f"{_HIVE}.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
}


def lowered(columns: dict[str, str], without: list[str]) -> dict[str, str]:
    """The columns as the catalog has them: in lower case, each once, and partition keys apart."""
    keys = {name.lower() for name in without}
    found: dict[str, str] = {}
    for name, kind in columns.items():
        if name.lower() not in keys:
            found.setdefault(name.lower(), kind)
    return found


def source_input(name: str, location: str, kind: str, columns: dict[str, str], csv: Csv | None) -> dict[str, Any]:
    """A table over files as they landed."""
    if kind == "parquet":
        return table_input(name, location, columns, [])
    parameters: dict[str, str] = {"classification": kind, "typeOfData": "file", "EXTERNAL": "TRUE"}
    if kind == "json":
        serde = {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe", "Parameters": {}}
    else:
        form = csv or Csv(",", '"', True, [])
        if form.header:
            parameters["skip.header.line.count"] = "1"
        serde = {
            "SerializationLibrary": f"{_HIVE}.hive.serde2.OpenCSVSerde",
            "Parameters": {"separatorChar": form.delimiter, "quoteChar": form.quote},
        }
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": of} for column, of in columns.items()],
            "Location": location,
            **_TEXT,
            "SerdeInfo": serde,
        },
    }


def create_database(name: str) -> None:
    """Makes the database, unless it is there."""
    glue = client("glue")
    try:
        glue.create_database(DatabaseInput={"Name": name})
    except glue.exceptions.AlreadyExistsException:
        pass


def create(database: str, table: dict[str, Any]) -> None:
    """Makes the table and, where it is missing, its database."""
    create_database(database)
    client("glue").create_table(DatabaseName=database, TableInput=table)
