"""Views of recordings: what a viewer shows, and pictures and pages that need no display."""
