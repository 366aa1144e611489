"""What is in the lake: objects below a prefix, and tables as those see them who follow the catalog."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from localcloud.clients import client
from localcloud.ledger import listing, split

WORKERS = 16


def data_keys(location: str) -> list[str]:
    """The keys below a location that readers of tables look at: those that are not hidden, whole."""
    bucket, prefix = split(location)
    keys = (item["Key"] for item in listing(bucket, prefix))
    return [key for key in keys if not any(part.startswith(("_", ".")) for part in key.removeprefix(prefix).split("/"))]


def snapshot(location: str) -> dict[str, tuple[str, str]]:
    """Everything below a location: ETag and time of each key."""
    return {item["Key"]: (item["ETag"], str(item["LastModified"])) for item in listing(*split(location))}


def download(bucket: str, keys: Iterable[str], folder: Path) -> list[Path]:
    """Brings objects to a folder, under their own keys."""

    def get(key: str) -> Path:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        return path

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(get, keys))


class CatalogTable:
    """A table whose readers go where the catalog says that its partitions are."""

    def __init__(self, database: str, name: str) -> None:
        self.database, self.name = database, name

    def locations(self) -> dict[tuple[str, ...], str]:
        """Where each partition is, by its values."""
        pages = client("glue").get_paginator("get_partitions").paginate(DatabaseName=self.database, TableName=self.name)
        return {
            tuple(partition["Values"]): partition["StorageDescriptor"]["Location"].rstrip("/") + "/"
            for page in pages
            for partition in page["Partitions"]
        }

    def files(self, folder: Path) -> dict[tuple[str, ...], list[Path]]:
        """The files of each partition, brought to a folder."""
        return {
            values: download(split(location)[0], data_keys(location), folder)
            for values, location in self.locations().items()
        }

    @contextmanager
    def as_tables(self) -> Iterator[list[str]]:
        """Tables over what the catalog says at this moment, one for each partition. MiniStack's Athena reads what lies
        below a table's location, and does not go where its partitions are, as AWS's does."""
        glue = client("glue")
        table: dict[str, Any] = glue.get_table(DatabaseName=self.database, Name=self.name)["Table"]
        names: list[str] = []
        for location in self.locations().values():
            names.append(f"{self.name}_{uuid4().hex}")
            storage = table["StorageDescriptor"] | {"Location": location}
            one = {"Name": names[-1], "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage}
            glue.create_table(DatabaseName=self.database, TableInput=one | {"Parameters": table.get("Parameters", {})})
        try:
            yield names
        finally:
            for name in names:
                glue.delete_table(DatabaseName=self.database, Name=name)

    def set_parameters(self, **parameters: str) -> dict[str, str]:
        """Changes parameters of the table; answers with those before."""
        table: dict[str, Any] = client("glue").get_table(DatabaseName=self.database, Name=self.name)["Table"]
        before: dict[str, str] = table.get("Parameters", {})
        kept = ("Name", "TableType", "PartitionKeys", "StorageDescriptor")
        changed = {key: table[key] for key in kept if key in table} | {"Parameters": parameters}
        client("glue").update_table(DatabaseName=self.database, TableInput=changed)
        return before
