"""List the forms in which each runtime accepts a constant with its readers, or the reason why there is none."""
