"""What people read, made of the results: text, tables, plots and pages."""
