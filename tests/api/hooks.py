"""What schemathesis can not know of Stepcell: which refusals no schema can foresee, and how a component is sent."""

import os

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

# Refusals of requests that fit the document, by the code of the problem, each with why the document can not say it.
UNFORESEEABLE = {
    "cursor.invalid": "a cursor is good if a page of that list gave it",
    "definition.invalid": "a definition has rules across its parts, and names components that must be there",
    "component.refused": "a component is good if it validates and fits the contract, which takes reading it",
    "data.invalid": "data has to fit the schema of a form or of a workflow, and a key's end has to be yet to come",
    "idempotency.mismatch": "the key of a request is good if no other request came with it",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops a refusal that no schema can foresee."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    return response.json().get("code") not in UNFORESEEABLE


@schemathesis.hook
def filter_case(context, case):
    """Keeps the key that all requests come with: whoever revokes it ends the run."""
    return os.environ["STEPCELL_KEY_ID"] not in (case.path_parameters or {}).values()


@schemathesis.serializer("application/wasm")
def send_component(context, value):
    """Sends a component as it is."""
    return value if isinstance(value, bytes) else str(value).encode()
