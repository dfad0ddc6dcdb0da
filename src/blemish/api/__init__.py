"""Python interface: what the commands do, on pictures in memory."""
