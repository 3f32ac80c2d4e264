"""Large sparse beside small dense models: many trainings in processes of their own."""
