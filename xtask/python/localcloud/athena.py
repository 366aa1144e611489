"""Questions to the lake in SQL. MiniStack's Athena reads the Glue table's files with DuckDB, in DuckDB's dialect."""

from localcloud.clients import client
from localcloud.polling import poll
from localcloud.progress import Failure

DEADLINE_SECONDS = 120


def ask(sql: str, database: str, results: str) -> dict[str, int | float | None]:
    """The one row that a query of numbers answers with, by column."""
    athena = client("athena")
    execution = athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": database},
        ResultConfiguration={"OutputLocation": results},
    )["QueryExecutionId"]

    def ended() -> dict[str, str] | None:
        status = athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]
        return None if status["State"] in ("QUEUED", "RUNNING") else status

    status = poll(ended, "answer of Athena", DEADLINE_SECONDS)
    if status["State"] != "SUCCEEDED":
        raise Failure(f"Athena: {status.get('StateChangeReason', status['State'])}")
    header, row = (
        [cell.get("VarCharValue") for cell in line["Data"]]
        for line in athena.get_query_results(QueryExecutionId=execution)["ResultSet"]["Rows"]
    )
    return {name: None if text is None else float(text) for name, text in zip(header, row, strict=True)}
