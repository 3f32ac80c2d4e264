"""Graph edits, one per file: each states what it needs and what it leaves."""
