"""Gradients through time: products of the joint step Jacobian with vectors, and the measurements made with them."""
