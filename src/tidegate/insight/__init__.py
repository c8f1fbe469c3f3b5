"""What a trained network remembers and where gradients vanish: measurements, each returned as named arrays."""
