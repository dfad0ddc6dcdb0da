"""Parts of the reliability benchmark."""
