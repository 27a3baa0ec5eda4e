"""Orders over HTTP and WebSocket on their shortest way: a batch of requests of known shape goes from bytes to COMMAND
records, and from events to answers, in compiled code; Python sees a batch, and bytes to send.

Whatever is not of that shape (another path, a header that means something, an escape, another key than the
connection's, a limit that is passed, a signature that is wrong) is handed to the ordinary way untouched, and that way
says what is right. What lies between bytes and fields, and between events and replies, is `ringex.gateways.express`.

    head      one whole HTTP request of known shape: API key, parameters, signature
    frame     one WebSocket frame of known shape
    intake    all that peers have sent, in one call: read, signatures checked, commands into the ring
    letters   replies as HTTP answers and WebSocket frames, in one call
    lane      what is held until the end of a batch; seats; what goes the ordinary way after all
"""
