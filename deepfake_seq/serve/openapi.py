"""The description of the API that `/openapi.json` returns."""

from __future__ import annotations

from typing import Any

import msgspec

from deepfake_seq import __version__
from deepfake_seq.config import ServeConfig
from deepfake_seq.verdict import Verdict

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}


def document(config: ServeConfig) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document.

    Args:
        config: Limits, and whether a token is needed.
    """
    _, verdict_schemas = msgspec.json.schema_components(
        [Verdict], ref_template="#/components/schemas/{name}"
    )
    values: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "deepseq",
            "version": __version__,
            "description": "Classify video clips as real, fake or inconclusive.",
        },
        "paths": _paths(config),
        "components": {"schemas": {**verdict_schemas, "Job": _JOB, "Error": _ERROR}},
    }
    if config.token:
        values["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        values["security"] = [{"token": []}]
    return values


_ERROR = {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}

_JOB = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "name": {**_TEXT, "description": "Name of the clip, for display."},
        "run": {**_TEXT, "description": "Run that classifies the clip."},
        "size_bytes": {"type": "integer"},
        "created": {**_NUMBER, "description": "Seconds since 1970."},
        "finished": {"type": ["number", "null"], "description": "Seconds since 1970."},
        "state": {"enum": ["queued", "running", "done", "failed"]},
        "stage": {
            "enum": ["", "decode", "detect", "cnn", "explain"],
            "description": "Stage that a running clip has reached.",
        },
        "position": {
            "type": "integer",
            "description": "Number of clips before a queued one; only while it is queued.",
        },
        "result": {
            "description": "The verdict, one element of the list of `predict --json`; `path` is "
            "the name of the clip. Null before the stage `explain`, and if the clip failed.",
            "oneOf": [{"$ref": "#/components/schemas/Verdict"}, {"type": "null"}],
        },
        "headline": {**_TEXT, "description": "The verdict and its strength in a few words."},
        "explanation": {
            "type": "array",
            "items": _TEXT,
            "description": "What the verdict means, in sentences.",
        },
        "report": {
            "type": ["string", "null"],
            "description": "Path of the report on the clip; null if there is none.",
        },
        "error": {**_TEXT, "description": "Why the clip failed, if the state is `failed`."},
    },
}


def _paths(config: ServeConfig) -> dict[str, Any]:
    clip_id = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
    not_found = {"404": _error("There is no such clip, or its result was deleted.")}
    no_report = {"404": _error("There is no report on this clip, or not yet.")}
    return {
        "/v1/clips": {
            "post": {
                "summary": "Send a clip.",
                "parameters": [
                    {
                        "name": "name",
                        "in": "query",
                        "description": "Name of the clip, for display.",
                        "schema": _TEXT,
                    },
                    {
                        "name": "run",
                        "in": "query",
                        "description": "Run to classify it with; the newest by default.",
                        "schema": _TEXT,
                    },
                ],
                "requestBody": {
                    "required": True,
                    "description": f"The file itself, at most {config.upload_bytes} bytes and "
                    f"{config.clip_seconds:g} seconds of video.",
                    "content": {"application/octet-stream": {}},
                },
                "responses": {
                    "202": _json("The clip was received and will be classified.", "Job"),
                    "400": _error("The body is empty or incomplete."),
                    "404": _error("There is no such run."),
                    "408": _error("The upload took too long."),
                    "413": _error("The clip is too large."),
                    "429": _error("The queue is full; `Retry-After` says when to try again."),
                    "503": _error("There is no run."),
                    "507": _error("The clip cannot be saved."),
                },
            }
        },
        "/v1/clips/{id}": {
            "get": {
                "summary": "State of a clip, and its verdict once it is done.",
                "parameters": [clip_id],
                "responses": {"200": _json("The clip.", "Job"), **not_found},
            },
            "delete": {
                "summary": "Delete a clip and its result.",
                "parameters": [clip_id],
                "responses": {"204": {"description": "It was deleted."}, **not_found},
            },
        },
        "/v1/clips/{id}/report": {
            "get": {
                "summary": "The report on a clip that is done: one HTML file that loads nothing.",
                "parameters": [clip_id],
                "responses": {
                    "200": {"description": "The report.", "content": {"text/html": {}}},
                    **no_report,
                },
            }
        },
        "/v1/clips/{id}/report.json": {
            "get": {
                "summary": "The report as the JSON document of `deepseq report`, with pictures: "
                "JPEG files as `data:` URLs, `face` of each person, and `crop`, `coloured` and "
                "`residual` of each map.",
                "parameters": [clip_id],
                "responses": {
                    "200": {"description": "The report.", "content": {"application/json": {}}},
                    **no_report,
                },
            }
        },
        "/v1/about": {
            "get": {
                "summary": "Version, runs, limits, and the causes of inconclusive verdicts.",
                "responses": {"200": {"description": "A JSON object."}},
            }
        },
        "/healthz": {
            "get": {
                "summary": "Whether the server works.",
                "security": [],
                "responses": {
                    "200": {"description": "It does."},
                    "503": {"description": "It cannot classify clips any more; start it again."},
                },
            }
        },
    }


def _json(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _error(description: str) -> dict[str, Any]:
    return _json(description, "Error")
