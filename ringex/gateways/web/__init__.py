"""The web gateway: REST, the WebSocket API and WebSocket streams of the dialect, on one port.

A process of its own and a gateway like any other: own command ring, own reader of the event ring. One thread, uvloop;
several such processes share the port (SO_REUSEPORT), and the kernel deals connections out to them.

    process     the loop: sockets and doorbell in, turns of the `Gateway`, replies out
    peer        one TCP connection: what waits to be sent, deadlines, its place at the gateway
    http        HTTP/1.1 (httptools) on a peer: pipelining, bounds, upgrade to WebSocket
    responses   answers as bytes
    routes      THE table: verb and path -> method
    rest        a request's parameters and its proof; a reply as an answer
    frames      RFC 6455 in plain Python
    websocket   WebSocket on a peer, and what an endpoint is: who serves such connections at a path
    socketapi   the endpoint of the WebSocket API
    deadlines   when to look at a peer again

Both stacks were measured against ready-made ones: a Protocol of one's own on httptools serves 29 to 41 thousand signed
requests a CPU-second where uvicorn serves 8 to 12 and aiohttp 6 to 9; framing in plain Python costs 1.4 KB an idle
connection where `websockets` costs 12.8, at twice the messages a second.
"""
