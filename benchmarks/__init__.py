"""Speed side by side with torch.nn: `python -m benchmarks` from the root of the repository."""
