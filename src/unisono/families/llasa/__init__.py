"""Llasa: a Llama that reads text and writes the codes of X-Codec 2, fifty a second (arXiv 2502.04128)."""
