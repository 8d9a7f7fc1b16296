"""docs/asyncapi.yaml and docs/asyncapi.html: the wire contract as an AsyncAPI 3.0 document, and that as a page."""
