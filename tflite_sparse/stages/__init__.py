"""What an export does, one module a stage: load, mask, convert, encode, score, measure, gates, deliver."""
