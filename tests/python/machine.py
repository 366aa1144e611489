"""A deployed state machine, as the tests use it."""

import json
from typing import Any

from localcloud.clients import client
from localcloud.polling import poll

EXECUTION_SECONDS = 300


class Machine:
    """A state machine."""

    def __init__(self, arn: str) -> None:
        self._arn = arn

    def start(self, **request: Any) -> str:
        """Starts it; answers with the execution."""
        started = client("stepfunctions").start_execution(stateMachineArn=self._arn, input=json.dumps(request))
        return started["executionArn"]

    def ended(self, execution: str) -> dict[str, Any]:
        """The execution, once it has ended."""

        def look() -> dict[str, Any] | None:
            described = client("stepfunctions").describe_execution(executionArn=execution)
            return None if described["status"] == "RUNNING" else described

        return poll(look, f"end of {execution}", EXECUTION_SECONDS)

    def succeeded(self, **request: Any) -> dict[str, Any]:
        """The output of an execution that succeeds."""
        return output(self.ended(self.start(**request)))

    def failed(self, **request: Any) -> tuple[str, str]:
        """The error and the cause of an execution that fails."""
        return failure(self.ended(self.start(**request)))


def output(ended: dict[str, Any]) -> dict[str, Any]:
    """The output of an execution that succeeded."""
    assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
    return json.loads(ended["output"])


def failure(ended: dict[str, Any]) -> tuple[str, str]:
    """The error and the cause of an execution that failed."""
    assert ended["status"] == "FAILED", ended
    return ended["error"], ended["cause"]


class FunctionFailed(Exception):
    """A function answered with an error."""

    def __init__(self, payload: dict[str, Any]) -> None:
        super().__init__(payload)
        self.name: str = payload["errorType"]
        self.message: str = payload["errorMessage"]


def invoke(function: str, request: dict[str, Any]) -> dict[str, Any]:
    """A function's answer."""
    answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
    body = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise FunctionFailed(body)
    return body


def environment(function: str) -> dict[str, str]:
    """A function's environment."""
    return client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]


def configure(function: str, variables: dict[str, str]) -> None:
    """Gives a function its environment."""
    client("lambda").update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    client("lambda").get_waiter("function_updated_v2").wait(FunctionName=function)
