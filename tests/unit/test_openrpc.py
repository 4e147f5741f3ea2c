"""The schemas of every method's result, and the OpenRPC document that is made with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from api.errors import RpcCode
from api.methods.table import METHODS
from api.openrpc import ERRORS, SCHEMAS, codes_of, discover, result_schema
from api.params import CommandParams, bind
from domain.errors import CommandCode
from tests.support.openrpc_meta import META

NAMES = [method.name for method in METHODS]
FILES = Registry().with_resources(
    [(path.name, Resource.from_contents(json.loads(path.read_text("utf-8")))) for path in SCHEMAS.glob("*.json")]
)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from references(one)
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for one in part.values():
            yield from references(one)


def pointed_at(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_every_method_has_a_schema_and_every_schema_a_method() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_its_example_fits(name: str) -> None:
    schema = result_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{name}.json"
    Draft202012Validator.check_schema(schema)
    for example in schema.get("examples", []):
        Draft202012Validator(schema, registry=FILES).validate(example)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_example_parameters_are_accepted(method: Any) -> None:
    bind(method.params, result_schema(method.name).get("x-params", {}))


def test_the_document_follows_the_meta_schema() -> None:
    errors = [
        f"{list(error.absolute_path)}: {error.message}" for error in Draft7Validator(META).iter_errors(discover())
    ]
    assert errors == []


def test_the_meta_schema_sees_what_is_wrong() -> None:
    document = json.loads(json.dumps(discover()))
    for break_it in (
        lambda doc: doc.pop("info"),
        lambda doc: doc["methods"][0].pop("params"),
        lambda doc: doc["methods"][0].update(surprise=1),
        lambda doc: doc["methods"][0]["params"][0]["schema"].update(type="numbr"),
        lambda doc: doc["components"]["errors"]["PoolNotFound"].update(code="-1002"),
    ):
        broken = json.loads(json.dumps(document))
        break_it(broken)
        assert list(Draft7Validator(META).iter_errors(broken))


def test_every_reference_points_at_something() -> None:
    document = discover()
    found = list(references(document))
    assert found
    for reference in found:
        assert pointed_at(document, reference) is not None


def test_every_method_is_described_with_its_parameters_in_order() -> None:
    document = discover()
    assert [method["name"] for method in document["methods"]] == NAMES
    for method, described in zip(METHODS, document["methods"], strict=True):
        assert {param["name"] for param in described["params"]} == set(method.params.model_fields)
        required = [param["required"] for param in described["params"]]
        assert required == sorted(required, reverse=True)  # the specification: required ones come first
        assert described["x-changes"] == method.changes


def test_every_code_is_described_and_commands_name_theirs() -> None:
    assert set(ERRORS) == {int(code) for code in (*CommandCode, *RpcCode)}
    assert {error["code"] for error in discover()["components"]["errors"].values()} == set(ERRORS)
    codes = {method.name: codes_of(method) for method in METHODS}
    assert CommandCode.SWAP_DIRECTION_TAKEN in codes["create_swap_thread"]
    assert CommandCode.THREAD_IN_ERROR in codes["empty_thread"]
    assert CommandCode.STILL_RUNNING not in codes["get_pool"]
    assert CommandCode.POOL_NOT_FOUND in codes["get_pool"]
    for method in METHODS:
        assert (CommandCode.STILL_RUNNING in codes[method.name]) == issubclass(method.params, CommandParams)


def test_codes_that_the_parameters_do_not_show() -> None:
    door = {RpcCode.UNAUTHORISED, RpcCode.FORBIDDEN, RpcCode.TOO_MANY_REQUESTS}
    assert all(door <= set(codes_of(method)) for method in METHODS)
    (fund,) = (method for method in METHODS if method.name == "fund_thread")
    assert CommandCode.POOL_NOT_FOUND in codes_of(fund)
