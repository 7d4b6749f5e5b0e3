"""Dia: an encoder-decoder that reads a dialogue as bytes and writes nine delayed channels of DAC codes."""
