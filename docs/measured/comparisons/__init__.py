"""The comparisons of docs/findings.md: their commands, and the tables that are made of the results."""
