"""HTML reports, plots, tables and model cards."""
