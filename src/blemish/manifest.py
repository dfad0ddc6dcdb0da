"""Records of synthetic items in `manifest.jsonl`, one line of JSON per item.

A line is added after the item's files, so an item with a line is complete; a last line without its
newline was interrupted and is left out. A manifest may come from a stranger: `read_manifest` checks
every value, and the names and paths in it before they are used.
"""
