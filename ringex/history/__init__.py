"""The read side: the live read model, built from events alone, and how a reader gets one (`join`)."""
