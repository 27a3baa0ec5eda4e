"""The API's own reference: OpenAPI of REST, AsyncAPI of the WebSockets, and a page for people.

All of it is made from what serves requests: the table of methods, the routes, the weights, the names and messages of
streams. It says nothing that those do not.

    schemas     a parameter as a JSON schema
    results     what REST answers look like
    openapi     REST
    asyncapi    the streams, and the methods over the WebSocket API
    page        one HTML page of both
"""
