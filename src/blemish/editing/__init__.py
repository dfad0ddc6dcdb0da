"""Edits of parts and defects by their codes, filling of holes, and repair."""
