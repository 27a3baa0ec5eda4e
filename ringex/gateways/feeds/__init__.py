"""Feeds: market data and user data as WebSocket streams of the dialect, at /ws and /stream of the web gateway.

topics       names of streams, and what they mean
payloads     messages in the dialect's fields, as JSON
registry     who has subscribed to what; one message, encoded once, to all of them
subscriber   one connection's end: what happens where it does not read
hub          events and clock in, messages out
depthbuffer  what changed in a book between two messages
statistics   tickers, candles and averages of the read model, sent when they have changed
dialog       SUBSCRIBE and the other requests of a connection
endpoint     all of it at a path of the web server
"""
