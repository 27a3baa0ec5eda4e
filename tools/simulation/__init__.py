"""The simulation's parts: a world that crashes and recovers, its invariants, and episodes of random commands in it."""
