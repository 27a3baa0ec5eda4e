"""Market data: aggregated books from events, and the process that publishes them over ZeroMQ."""
