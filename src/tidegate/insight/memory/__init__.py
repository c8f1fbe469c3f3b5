"""How much of the past a language model uses: the loss against the context, the swap test, and the linear readout."""
