"""How one tensor is stored: layouts, their codecs, and the bound that no codec of this kind can pass."""
