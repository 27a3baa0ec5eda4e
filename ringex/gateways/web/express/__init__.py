"""Orders over HTTP and WebSocket on their shortest way: a batch of requests of known shape goes from bytes to COMMAND
records, and from events to answers, in compiled code; Python sees a batch, and bytes to send.

Whatever is not of that shape (another path, a header that means something, an escape, a key not met lately, a limit
that is near, a signature that is wrong) is handed to the ordinary way untouched, and that way says what is right.
"""
