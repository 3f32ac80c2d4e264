"""Store one tensor, independent of a graph: layouts, codecs, and the entropy bound on their sizes."""
