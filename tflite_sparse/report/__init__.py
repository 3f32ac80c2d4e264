"""Present results to people: text, tables, plots and pages."""
