"""Make report.html: plots and figures in one file."""
