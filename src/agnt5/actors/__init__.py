"""The cast: who acts. Everything that waits is here, or in the stores."""
