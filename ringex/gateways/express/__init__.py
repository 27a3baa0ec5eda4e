"""The express way, compiled: the commonest requests from bytes to COMMAND records, their events to replies.

What it does not know for certain it hands over, untouched, to the ordinary way (`ringex.gateways.gateway`,
`ringex.gateways.orders`, `ringex.gateways.replies`), which defines what is right: unknown, odd or damaged
requests, everything that is refused, rare methods and rare order types. tests/test_express.py gives both ways the same
requests and wants the same records of both; tests/test_express_answers.py the same of their replies, byte for byte.

    texts      bytes, digits and words of a vocabulary at addresses
    fields     a request as flat fields; the parameters and methods that are known here
    readers    msgpack, JSON, query strings -> fields
    markets    the catalogue as compiled code reads it
    commands   fields -> COMMAND record
    reading    the first four in one call, for whoever wants no more
    flights    commands under way, and seats: the connections that they come from
    taking     bytes -> a COMMAND in the gateway's ring, and its flight
    writing    msgpack and JSON at addresses
    answering  events -> replies
    desk       all of it, for one gateway
    sockets    a ROUTER drained and answered by compiled code

How a transport uses it, `desk` being its gateway's:

    gateway.offer_seat(connection)      once it is logged on; again when it has lost its seat (`Connection.seat` 0)
    correlation = desk.take(connection, Encoding.JSON, payload, now_ns)
                                        0: hand the payload to Gateway.request or Gateway.call, as ever
    Gateway.send_replies(replies)       is called in `Gateway.turn`: REPLY records and their bytes
    Gateway.original_of(connection, flight)
                                        (id, params) of a request that `take` took, from what the desk has kept

For a request that carries its own signature, which the transport has checked: a seat of that key's (`desk.seat`), and
`signed=True`. With Encoding.QUERY the method is passed, and a reply's bytes are the result alone; what the headers tell
of limits is in the REPLY record.
"""
