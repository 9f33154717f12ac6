"""Foreign systems, a folder each. They are loaded by name: nobody imports them, and they not each other."""
