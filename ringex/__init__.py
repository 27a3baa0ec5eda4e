"""ringex: a spot exchange in Python, a group of processes over shared memory around one deterministic matcher.

`ringex.engine.Matcher` is the matching engine as a library; `ringex start` runs the whole exchange.
"""
