"""The ``.tflite`` file as plain objects: reading, writing, and edits of its graphs."""
