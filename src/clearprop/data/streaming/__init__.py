"""Tables larger than memory: read in blocks, measured and divided in passes, kept encoded on disk while they train."""
