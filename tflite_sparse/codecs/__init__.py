"""How one tensor is stored, without its graph: layouts, codecs, and the bound that no codec of this kind passes."""
