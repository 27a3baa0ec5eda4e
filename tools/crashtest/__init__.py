"""The crash test's parts: clients that remember what they were told, the truth in the journal, kills, and checks."""
