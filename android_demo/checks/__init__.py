"""The checks of the Android demo; ``python -m checks`` in ``android_demo`` runs them all."""
