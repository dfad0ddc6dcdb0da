"""Blemish makes labelled defect images by GAN inversion."""

__version__ = "0.1.0"
