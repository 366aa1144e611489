"""The services of a local cloud: MiniStack, in memory."""

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.program import ProgramFailed
from harness.server import REGION, Server, free_port

__all__ = ["REGION", "LocalCloud", "StoredObject"]


@dataclass(frozen=True)
class StoredObject:
    """An object, as a notification names it."""

    bucket: str
    key: str
    size: int
    etag: str


class LocalCloud(Server):
    """The running services."""

    NAME = "MiniStack"

    def __init__(self, work: Path) -> None:
        port = free_port()
        environment = {
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            # Both would open additional ports.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "S3_DATA_DIR": str(work / "cloud"),
        }
        program = str(Path(sys.executable).with_name("ministack"))
        super().__init__([program], environment, port, work / "logs" / "ministack.log")
        self._glue = self.client("glue")
        self._sqs = self.client("sqs")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def upload(self, folder: Path, bucket: str, prefix: str) -> list[StoredObject]:
        """Puts a folder's files under a prefix, in the order of their names."""
        stored = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = prefix + path.relative_to(folder).as_posix()
            body = path.read_bytes()
            stored.append(StoredObject(bucket, key, len(body), self.put(bucket, key, body)))
        return stored

    def objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """The keys below a prefix, without it, and the objects. MiniStack asks for no signature."""
        connection = HTTPConnection("127.0.0.1", self._port)
        for key in self.keys(bucket, prefix):
            connection.request("GET", f"/{bucket}/{quote(key)}")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise ProgramFailed(f"{key} cannot be read: {answer.status}")
            yield key.removeprefix(prefix), body
        connection.close()

    def download(self, bucket: str, prefix: str, folder: Path) -> None:
        """Gets what is under a prefix into a folder."""
        for key, body in self.objects(bucket, prefix):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def remove(self, bucket: str, prefix: str) -> None:
        """Deletes what is under a prefix."""
        keys = list(self.keys(bucket, prefix))
        for start in range(0, len(keys), 1000):
            objects = [{"Key": key} for key in keys[start : start + 1000]]
            self._s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})

    def make_queue(self, name: str) -> str:
        """Makes a queue; answers with its URL."""
        return self._sqs.create_queue(QueueName=name)["QueueUrl"]

    def drain(self, queue: str) -> list[str]:
        """Takes all messages of a queue; answers with their bodies."""
        bodies = []
        while received := self._sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in received]
            entries = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in received]
            self._sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
        return bodies

    def make_database(self, name: str) -> None:
        """Makes a database in Glue."""
        self._glue.create_database(DatabaseInput={"Name": name})

    def make_table(
        self, database: str, name: str, location: str, columns: dict[str, str], partition_keys: list[str]
    ) -> None:
        """Registers a Parquet table as Glue's crawlers describe it; columns by their Hive types."""
        hive = "org.apache.hadoop.hive.ql.io.parquet"
        storage = {
            "InputFormat": f"{hive}.MapredParquetInputFormat",
            "OutputFormat": f"{hive}.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": f"{hive}.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
        }
        parameters = {"classification": "parquet"}
        self._make_table(database, name, location, columns, partition_keys, storage, parameters)

    def make_json_table(
        self, database: str, name: str, location: str, columns: dict[str, str], partition_keys: list[str]
    ) -> None:
        """Registers a table of JSON lines; columns by their Hive types."""
        storage = {
            "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "SerdeInfo": {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe", "Parameters": {}},
        }
        parameters = {"classification": "json"}
        self._make_table(database, name, location, columns, partition_keys, storage, parameters)

    def make_csv_table(self, database: str, name: str, location: str, columns: dict[str, str]) -> None:
        """Registers a table of CSV files with quotes and a header."""
        storage = {
            "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde",
                "Parameters": {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
            },
        }
        parameters = {"classification": "csv", "skip.header.line.count": "1"}
        self._make_table(database, name, location, columns, [], storage, parameters)

    def _make_table(
        self,
        database: str,
        name: str,
        location: str,
        columns: dict[str, str],
        partition_keys: list[str],
        storage: dict[str, Any],
        parameters: dict[str, str],
    ) -> None:
        described = [{"Name": column, "Type": kind} for column, kind in columns.items()]
        self._glue.create_table(
            DatabaseName=database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": parameters | {"typeOfData": "file", "EXTERNAL": "TRUE"},
                "PartitionKeys": [{"Name": key, "Type": "int"} for key in partition_keys],
                "StorageDescriptor": {"Columns": described, "Location": location} | storage,
            },
        )

    def drop_table(self, database: str, name: str) -> None:
        """Drops a table."""
        self._glue.delete_table(DatabaseName=database, Name=name)

    def register(self, database: str, table: str, partitions: dict[tuple[str, ...], str]) -> None:
        """Registers partitions, by their values, at their locations."""
        storage = self._glue.get_table(DatabaseName=database, Name=table)["Table"]["StorageDescriptor"]
        entries = [
            {"Values": list(values), "StorageDescriptor": storage | {"Location": location}}
            for values, location in partitions.items()
        ]
        answer = self._glue.batch_create_partition(
            DatabaseName=database, TableName=table, PartitionInputList=entries
        )
        if answer.get("Errors"):
            raise ProgramFailed(f"partitions were not registered: {answer['Errors']}")

    def locations(self, database: str, table: str) -> dict[tuple[str, ...], str]:
        """Where each partition is, by its values."""
        pages = self._glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
        return {
            tuple(partition["Values"]): partition["StorageDescriptor"].get("Location", "")
            for page in pages
            for partition in page["Partitions"]
        }

    def partitions(self, database: str, table: str) -> int:
        """How many partitions are registered."""
        return len(self.locations(database, table))
