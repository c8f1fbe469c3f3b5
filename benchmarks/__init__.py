"""Speed in comparison with torch.nn: `python -m benchmarks` from the root of the repository."""
