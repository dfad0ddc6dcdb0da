"""Studio: a local page on which defects are placed, collected, made in number, and learnt."""
