"""Load for a running exchange, and the bare peers that its figures are set against.

workload.py    the orders: a cycle of four that leaves the book as it was
client.py      one client process: closed loop or open loop, msgpack or binary
bare.py        the same clients against a peer that does nothing but answer
feed.py        a subscriber of market data, and a bare publisher of the same messages
result.py      what the clients measured, added up
"""
