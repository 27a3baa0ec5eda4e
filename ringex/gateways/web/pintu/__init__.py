"""Pintu Pro's envelope: the same table of methods in other words.

envelope     what is sent and answered, and what a signature covers
translation  methods, parameters, orders and symbols, there and back
http         POST /v1/private/<method>, GET /v1/public/<method>
channels     market data for subscribers: books and trades
sockets      the endpoint /v1/ws: methods, subscriptions, heartbeats
"""
