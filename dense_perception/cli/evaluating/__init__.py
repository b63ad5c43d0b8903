"""Parts of ``dense-perception evaluate``."""
