"""How each operator is read: a function from its node to a step."""
