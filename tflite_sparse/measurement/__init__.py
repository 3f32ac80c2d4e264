"""Size, latency, memory, and how far the layers of an int8 file are from float32."""
