"""`manifest.jsonl`: what a folder of made items says of each, a line of JSON an item.

A line is added after the item's files, so an item with a line is whole; a last line without its
newline was torn and is left out. A manifest may come from a stranger: `read_manifest` checks every
value that it gives, and the names and paths in it before anyone follows them.
"""
