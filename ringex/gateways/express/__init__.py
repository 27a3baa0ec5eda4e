"""The express way, compiled: the commonest requests from a client's bytes to COMMAND records.

What it does not know for certain it hands over, untouched, to the ordinary way (`ringex.gateways.gateway`,
`ringex.gateways.orders`, `ringex.gateways.replies`), which defines what is right: unknown, odd or damaged
requests, everything that is refused, rare methods and rare order types. tests/test_express.py gives both ways the same
requests and wants the same records of both.

    texts      bytes, digits and words of a vocabulary at addresses
    fields     a request as flat fields; the parameters and methods that are known here
    readers    msgpack, JSON, query strings -> fields
    markets    the catalogue as compiled code reads it
    commands   fields -> COMMAND record

How a transport uses it: `express.reading.Reading` has the memory and one compiled call for each encoding.
"""
