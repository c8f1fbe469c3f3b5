"""How much of the past a language model uses: loss against context, the swap test, and the linear readout."""
