"""Gateways: where clients meet the exchange. One table of methods; transports only decode, authenticate and encode."""
