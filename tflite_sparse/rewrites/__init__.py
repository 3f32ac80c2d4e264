"""Graph edits, one per file, each with its precondition (Needs) and effect (Leaves)."""
