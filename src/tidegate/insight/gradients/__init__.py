"""Gradients through time: the joint step Jacobian as products with vectors, and what is measured with it."""
