"""What the pages of docs with measured tables have in common, and their measurements."""
