"""The audit: every balance rebuilt from the journal by an accounting of its own, and compared with the engine's."""
