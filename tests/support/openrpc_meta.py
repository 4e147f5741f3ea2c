"""The rules of an OpenRPC 1.3 document as a JSON Schema, written for these tests from the published specification."""

from __future__ import annotations

from typing import Any

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
TEXT = {"type": "string"}
NAME = {"type": "string", "minLength": 1}


def closed(required: list[str], /, **properties: Any) -> dict[str, Any]:
    """An object with these properties, extensions (x-...) and nothing else."""
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "patternProperties": {"^x-": True},
        "additionalProperties": False,
    }


def or_reference(name: str) -> dict[str, Any]:
    return {"oneOf": [{"$ref": f"#/definitions/{name}"}, {"$ref": "#/definitions/reference"}]}


def many(name: str) -> dict[str, Any]:
    return {"type": "array", "items": or_reference(name)}


def named(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": {"pattern": r"^[A-Za-z0-9._\-]+$"},
        "additionalProperties": {"$ref": f"#/definitions/{name}"},
    }


META: dict[str, Any] = {
    "$schema": DRAFT_7,
    **closed(
        ["openrpc", "info", "methods"],
        openrpc={"type": "string", "pattern": r"^1\.\d+\.\d+$"},
        info={"$ref": "#/definitions/info"},
        externalDocs={"$ref": "#/definitions/externalDocs"},
        servers={"type": "array", "items": {"$ref": "#/definitions/server"}},
        methods=many("method"),
        components={"$ref": "#/definitions/components"},
    ),
    "definitions": {
        "schema": {"$ref": DRAFT_7},
        "reference": {
            "type": "object",
            "required": ["$ref"],
            "properties": {"$ref": TEXT},
            "additionalProperties": False,
        },
        "info": closed(
            ["title", "version"],
            title=TEXT,
            version=TEXT,
            description=TEXT,
            termsOfService=TEXT,
            contact={"type": "object"},
            license={"type": "object"},
        ),
        "externalDocs": closed(["url"], url=TEXT, description=TEXT),
        "server": closed(["url"], url=TEXT, name=TEXT, summary=TEXT, description=TEXT, variables={"type": "object"}),
        "tag": closed(["name"], name=NAME, description=TEXT, externalDocs={"$ref": "#/definitions/externalDocs"}),
        "contentDescriptor": closed(
            ["name", "schema"],
            name=NAME,
            summary=TEXT,
            description=TEXT,
            required={"type": "boolean"},
            deprecated={"type": "boolean"},
            schema={"$ref": "#/definitions/schema"},
        ),
        "error": closed(["code", "message"], code={"type": "integer"}, message=TEXT, data=True),
        "example": closed(["name", "value"], name=NAME, summary=TEXT, description=TEXT, value=True),
        "pairing": closed(
            ["name", "params", "result"],
            name=NAME,
            description=TEXT,
            params=many("example"),
            result=or_reference("example"),
        ),
        "link": closed([], name=NAME, summary=TEXT, description=TEXT, method=TEXT, params=True, server=True),
        "method": closed(
            ["name", "params", "result"],
            name=NAME,
            summary=TEXT,
            description=TEXT,
            tags=many("tag"),
            paramStructure={"enum": ["by-name", "by-position", "either"]},
            params=many("contentDescriptor"),
            result=or_reference("contentDescriptor"),
            errors=many("error"),
            links=many("link"),
            examples=many("pairing"),
            servers={"type": "array", "items": {"$ref": "#/definitions/server"}},
            externalDocs={"$ref": "#/definitions/externalDocs"},
            deprecated={"type": "boolean"},
        ),
        "components": closed(
            [],
            schemas=named("schema"),
            errors=named("error"),
            links=named("link"),
            examples=named("example"),
            examplePairings=named("pairing"),
            contentDescriptors=named("contentDescriptor"),
            tags=named("tag"),
        ),
    },
}
