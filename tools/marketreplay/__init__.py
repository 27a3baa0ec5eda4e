"""Recorded order flow of a real market, turned into client commands for ringex, and its fills compared.

mbo.py         one market-by-order record; what every recording is read into
databento.py   Databento DBN files -> MBO records
lobster.py     LOBSTER message files -> MBO records
convert.py     MBO records -> intentions: what the clients must have asked for, and the fills they got
instrument.py  the market that the recording needs: tick, scales, bounds
drive.py       intentions through `ringex.engine.Matcher`, in this process
client.py      intentions through a running exchange, over ZeroMQ
journal.py     what that exchange has journaled, replayed, against this process's matcher
compare.py     recorded fills against the exchange's, each exception with its cause
"""
