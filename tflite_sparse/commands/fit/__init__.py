"""The most accurate file under a budget: rounds of planning, training and checking."""
